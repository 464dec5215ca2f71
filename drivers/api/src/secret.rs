use std::fmt;

/// A password or a passphrase. It is never shown by `Debug` and never written to the store.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is, without a trailing line end.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Self(text)
    }

    /// The text itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a password comes from when one is needed: a terminal, in the program.
pub trait Secrets: Send + Sync {
    /// Asks the person for a secret; `prompt` names what it is for, without a colon.
    ///
    /// Returns `None` when nobody can be asked. An implementation asks once a prompt and
    /// remembers the answer for the life of the program.
    fn ask(&self, prompt: &str) -> Option<Secret>;
}

/// Nobody can be asked.
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn ask(&self, _prompt: &str) -> Option<Secret> {
        None
    }
}
