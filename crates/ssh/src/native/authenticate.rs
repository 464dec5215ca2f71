//! Logging in with a key: the agent's, the given file, or the person's default files.

use std::path::{Path, PathBuf};

use rmachine_driver::Secret;
use ssh2::{Agent, ErrorCode, PublicKey, Session};

use super::destination::Destination;
use crate::identity::{Protection, inspect_identity, public_half};
use crate::{SshError, UnreachableReason};

/// Servers hang up after six tries; some must be left for the key files.
const AGENT_KEYS_TRIED: usize = 4;

/// What came of one key.
enum Try {
    LoggedIn,
    Refused,
    /// The key stayed locked.
    Locked(PathBuf),
}

/// Logs in.
///
/// # Errors
/// [`SshError::AuthRefused`], [`SshError::PassphraseNeeded`], [`SshError::KeyUnreadable`].
pub(super) fn authenticate(
    to: &Destination,
    session: &Session,
    ask: &dyn Fn(&str) -> Option<Secret>,
) -> Result<(), SshError> {
    let methods: Vec<String> = match session.auth_methods(&to.user) {
        Ok(methods) => methods.split(',').map(str::to_owned).collect(),
        // The question itself logs in where the host wants no proof.
        Err(_) if session.authenticated() => return Ok(()),
        Err(error) => return Err(hung_up(to, &error)),
    };
    let login = Login { to, session, ask };
    let outcome = match &to.identity {
        Some(identity) => login.with_identity(identity)?,
        None => login.with_any()?,
    };
    match outcome {
        Try::LoggedIn => Ok(()),
        Try::Locked(key) => Err(SshError::PassphraseNeeded { key }),
        Try::Refused => Err(SshError::AuthRefused {
            host: to.host.clone(),
            user: to.user.clone(),
            identity: to.identity.clone(),
            detail: format!("it takes {}", methods.join(", ")),
            methods,
        }),
    }
}

struct Login<'a> {
    to: &'a Destination,
    session: &'a Session,
    ask: &'a dyn Fn(&str) -> Option<Secret>,
}

impl Login<'_> {
    /// With the one key that was given, by the agent where that holds it unlocked.
    fn with_identity(&self, identity: &Path) -> Result<Try, SshError> {
        if inspect_identity(identity)? == Protection::Passphrase
            && let Some(public) = public_half(identity)
            && let Some((agent, keys)) = self.agent()
            && let Some(key) = keys.iter().find(|key| key.blob() == public.blob())
        {
            return self.with_agent_key(&agent, key);
        }
        self.with_file(identity)
    }

    /// With whatever key the person has.
    fn with_any(&self) -> Result<Try, SshError> {
        if let Some((agent, keys)) = self.agent() {
            for key in keys.iter().take(AGENT_KEYS_TRIED) {
                if let Try::LoggedIn = self.with_agent_key(&agent, key)? {
                    return Ok(Try::LoggedIn);
                }
            }
        }
        let mut outcome = Try::Refused;
        for file in &self.to.default_identities {
            // Default keys that are not there, or that ssh would not use, are passed over.
            if inspect_identity(file).is_err() {
                continue;
            }
            match self.with_file(file)? {
                Try::LoggedIn => return Ok(Try::LoggedIn),
                Try::Locked(key) => outcome = Try::Locked(key),
                Try::Refused => {}
            }
        }
        Ok(outcome)
    }

    fn with_file(&self, file: &Path) -> Result<Try, SshError> {
        let passphrase = match inspect_identity(file)? {
            Protection::Open => None,
            Protection::Passphrase => {
                let prompt = format!("passphrase of the key {}", file.display());
                match (self.ask)(&prompt) {
                    Some(passphrase) => Some(passphrase),
                    None => return Ok(Try::Locked(file.to_owned())),
                }
            }
        };
        let words = passphrase.as_ref().map(Secret::expose);
        let tried = self
            .session
            .userauth_pubkey_file(&self.to.user, None, file, words);
        match tried {
            Err(error) if error.code() == ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_FILE) => {
                match passphrase {
                    Some(_) => Ok(Try::Locked(file.to_owned())),
                    None => Err(SshError::KeyUnreadable {
                        path: file.to_owned(),
                        reason: error.message().to_owned(),
                    }),
                }
            }
            other => self.judge(other),
        }
    }

    fn with_agent_key(&self, agent: &Agent, key: &PublicKey) -> Result<Try, SshError> {
        self.judge(agent.userauth(&self.to.user, key))
    }

    fn judge(&self, tried: Result<(), ssh2::Error>) -> Result<Try, SshError> {
        use libssh2_sys as raw;
        match tried {
            Ok(()) => Ok(Try::LoggedIn),
            Err(error) => match error.code() {
                ErrorCode::Session(
                    raw::LIBSSH2_ERROR_TIMEOUT
                    | raw::LIBSSH2_ERROR_SOCKET_DISCONNECT
                    | raw::LIBSSH2_ERROR_SOCKET_RECV
                    | raw::LIBSSH2_ERROR_SOCKET_SEND,
                ) => Err(hung_up(self.to, &error)),
                _ => Ok(Try::Refused),
            },
        }
    }

    /// The agent and its keys, where there is one.
    fn agent(&self) -> Option<(Agent, Vec<PublicKey>)> {
        let socket = self.to.agent_socket.as_deref()?;
        let mut agent = self.session.agent().ok()?;
        agent.set_identity_path(socket).ok()?;
        agent.connect().ok()?;
        agent.list_identities().ok()?;
        let keys = agent.identities().ok()?;
        Some((agent, keys))
    }
}

fn hung_up(to: &Destination, error: &ssh2::Error) -> SshError {
    SshError::Unreachable {
        host: to.host.clone(),
        reason: UnreachableReason::Closed,
        detail: error.to_string(),
    }
}
