use std::error::Error as StdError;
use std::path::Path;

use rmachine_driver::DriverError;
use rmachine_engine::{EngineError, TlsReason};
use rmachine_machine::StoreError;
use rmachine_ssh::SshError;

use super::{CommandError, ErrorKind};

/// The library's sentence is the message; what lies behind it are the causes.
fn described(kind: ErrorKind, error: &(dyn StdError + 'static)) -> CommandError {
    let mut described = CommandError::new(kind, error.to_string());
    described.causes = causes_of(error);
    described
}

/// The chain behind an error, without repetitions: some libraries put their source into their own
/// sentence.
pub(super) fn causes_of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
            said = text;
        }
        next = cause.source();
    }
    causes
}

impl From<DriverError> for CommandError {
    fn from(error: DriverError) -> Self {
        match &error {
            DriverError::Check(failures) => {
                let mut told = Self::new(
                    ErrorKind::CheckFailed,
                    "the machine cannot be made like this",
                );
                for failure in failures {
                    told.causes.push(failure.to_string());
                    if !failure.remedy.is_empty() && !told.hints.contains(&failure.remedy) {
                        told.hints.push(failure.remedy.clone());
                    }
                }
                told
            }
            DriverError::Flag(_) => described(ErrorKind::Usage, &error),
            DriverError::NotRunning => described(ErrorKind::NotRunning, &error),
            DriverError::Timeout { .. } => described(ErrorKind::TimedOut, &error),
            DriverError::Backend { hint, .. } => {
                let mut told = described(ErrorKind::Failed, &error);
                told.hints.extend(hint.clone());
                told
            }
            DriverError::Config { .. }
            | DriverError::Unsupported { .. }
            | DriverError::Gone { .. }
            | DriverError::File { .. } => described(ErrorKind::Failed, &error),
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let told = |kind| described(kind, &error);
        match &error {
            StoreError::NotFound { .. } => told(ErrorKind::UnknownMachine).hint("rmachine ls"),
            StoreError::Exists { name } => {
                told(ErrorKind::Failed).hint(format!("rmachine inspect {name}"))
            }
            StoreError::Corrupt { name, .. } => {
                told(ErrorKind::Failed).hint(format!("rmachine rm --force {name}"))
            }
            StoreError::Busy { .. } | StoreError::CertificatesBusy { .. } => told(ErrorKind::Busy),
            StoreError::FromTheFuture { .. }
            | StoreError::Unwritable { .. }
            | StoreError::Io { .. } => told(ErrorKind::Failed),
        }
    }
}

impl CommandError {
    /// An error of the engine of this machine.
    pub fn of_engine(error: EngineError, name: &str) -> Self {
        let told = |kind| described(kind, &error);
        let regenerate = format!("rmachine regenerate-certs {name}");
        match &error {
            EngineError::Tls { reason, .. } => {
                let told = told(ErrorKind::Connection);
                match reason {
                    TlsReason::NotYetValid => told.hint(format!("rmachine ssh {name} date")),
                    TlsReason::ClientRefused => told.hint(format!("{regenerate} --client-certs")),
                    TlsReason::NotTls => told.hint(format!("rmachine provision {name}")),
                    TlsReason::UnknownAuthority
                    | TlsReason::NameMismatch
                    | TlsReason::Expired
                    | TlsReason::Other => told.hint(regenerate),
                }
            }
            EngineError::Unreachable { .. } => {
                told(ErrorKind::Connection).hint(format!("rmachine status {name}"))
            }
            EngineError::Deadline { .. } => {
                told(ErrorKind::TimedOut).hint(format!("rmachine status {name}"))
            }
            EngineError::Refused { .. }
            | EngineError::Protocol { .. }
            | EngineError::TooOld { .. }
            | EngineError::InvalidEndpoint { .. } => told(ErrorKind::Failed),
        }
    }
}

impl CommandError {
    /// An error of the SSH connection to this machine.
    pub fn of_ssh(error: SshError, name: &str) -> Self {
        let told = |kind| described(kind, &error);
        match &error {
            SshError::NoProgram { .. } => {
                told(ErrorKind::Failed).hint("export MACHINE_NATIVE_SSH=1")
            }
            SshError::Unreachable { .. } => {
                told(ErrorKind::Connection).hint(format!("rmachine status {name}"))
            }
            SshError::HostKeyChanged { known_hosts, .. } => told(ErrorKind::Connection).hint(
                format!("ssh-keygen -R {name} -f {}", shell_word(known_hosts)),
            ),
            SshError::AuthRefused { host, user, .. } => {
                told(ErrorKind::Connection).hint(format!("ssh-copy-id {user}@{host}"))
            }
            SshError::KeyTooOpen { path, .. } => {
                told(ErrorKind::Connection).hint(format!("chmod 600 {}", shell_word(path)))
            }
            SshError::PassphraseNeeded { key } => {
                told(ErrorKind::Connection).hint(format!("ssh-add {}", shell_word(key)))
            }
            SshError::TimedOut { .. } => told(ErrorKind::TimedOut),
            SshError::NeedsSystemSsh { .. } => {
                told(ErrorKind::Failed).hint("unset MACHINE_NATIVE_SSH")
            }
            SshError::KeyUnreadable { .. } | SshError::ConnectionLost { .. } => {
                told(ErrorKind::Connection)
            }
            _ => told(ErrorKind::Failed),
        }
    }
}

/// A path as a shell reads it.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or(text.clone(), Into::into)
}
