use std::fmt;
use std::str::FromStr;

use crate::InvalidSetting;

/// A variable of the engine's environment. `Debug` and `Display` hide the value: proxies carry
/// passwords.
#[derive(Clone, Eq, PartialEq)]
pub struct EnvVar {
    name: String,
    value: String,
}

impl EnvVar {
    /// The variable's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable's value, as it must arrive.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for EnvVar {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSetting {
            text: text.split('=').next().unwrap_or_default().to_owned(),
            expected: "the name of an environment variable, given as NAME=value",
        };
        let (name, value) = text.split_once('=').ok_or_else(invalid)?;
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if starts_well && name.chars().all(allowed) && !value.contains('\0') {
            Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            })
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvVar({}=…)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_everything_behind_the_first_equals_sign() {
        let var: EnvVar = "K= a=\"b\" $c".parse().unwrap();
        assert_eq!((var.name(), var.value()), ("K", " a=\"b\" $c"));
        for bad in ["K", "=v", "1K=v", "A-B=v", "A B=v"] {
            assert!(bad.parse::<EnvVar>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_hides_the_value() {
        let var: EnvVar = "HTTP_PROXY=http://u:secret@p".parse().unwrap();
        assert!(!format!("{var:?}").contains("secret"));
    }
}
