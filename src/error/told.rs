use std::error::Error as StdError;
use std::io;
use std::path::Path;

use rmachine_driver::{CheckFailure, DriverError};
use rmachine_engine::{EngineError, TlsReason};
use rmachine_machine::StoreError;
use rmachine_ssh::SshError;

use super::{CommandError, ErrorKind};

/// The library's sentence is the message; what lies behind it are the causes.
pub(super) fn described(kind: ErrorKind, error: &(dyn StdError + 'static)) -> CommandError {
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
        let told = |kind| described(kind, &error);
        match &error {
            DriverError::Check(failures) => refused(failures),
            DriverError::Flag(_) => told(ErrorKind::Usage),
            DriverError::NotRunning => told(ErrorKind::NotRunning).hint("rmachine start NAME"),
            DriverError::Timeout { .. } => told(ErrorKind::TimedOut),
            DriverError::Gone { .. } => told(ErrorKind::Failed).hint("rmachine rm --force NAME"),
            DriverError::Backend { hint, .. } | DriverError::WentDown { hint, .. } => {
                let mut told = told(ErrorKind::Failed);
                told.hints.extend(hint.clone());
                told
            }
            DriverError::File { source, .. } => of_file(told(ErrorKind::Failed), source),
            DriverError::Config { .. } | DriverError::Unsupported { .. } => told(ErrorKind::Failed),
        }
    }
}

/// What can be done about a file that could not be read or written.
pub(super) fn of_file(told: CommandError, why: &io::Error) -> CommandError {
    match why.kind() {
        io::ErrorKind::StorageFull => told.hint("free some space, and run the command again"),
        _ => told,
    }
}

/// What the check before `create` found: each finding is a cause, each remedy a hint.
fn refused(failures: &[CheckFailure]) -> CommandError {
    let mut told = CommandError::new(
        ErrorKind::CheckFailed,
        "the pre-create check failed; nothing was touched",
    );
    for failure in failures {
        told.causes.push(failure.to_string());
        if !failure.remedy.is_empty() && !told.hints.contains(&failure.remedy) {
            told.hints.push(failure.remedy.clone());
        }
    }
    told
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
            StoreError::Io { source, .. } => of_file(told(ErrorKind::Failed), source),
            StoreError::FromTheFuture { .. } | StoreError::Unwritable { .. } => {
                told(ErrorKind::Failed)
            }
        }
    }
}

impl CommandError {
    /// An error of the engine of this machine.
    pub fn of_engine(error: EngineError, name: &str) -> Self {
        let told = |kind| described(kind, &error);
        let told = match &error {
            EngineError::Tls { reason, .. } => told(ErrorKind::Connection).hint(match reason {
                TlsReason::NotYetValid => "rmachine ssh NAME date",
                TlsReason::ClientRefused => "rmachine regenerate-certs --client-certs NAME",
                TlsReason::NotTls => "rmachine provision NAME",
                TlsReason::UnknownAuthority
                | TlsReason::NameMismatch
                | TlsReason::Expired
                | TlsReason::Other => "rmachine regenerate-certs NAME",
            }),
            EngineError::Unreachable { .. } => {
                told(ErrorKind::Connection).hint("rmachine status NAME")
            }
            EngineError::Deadline { .. } => told(ErrorKind::TimedOut).hint("rmachine status NAME"),
            EngineError::Refused { .. }
            | EngineError::Protocol { .. }
            | EngineError::TooOld { .. }
            | EngineError::InvalidEndpoint { .. } => told(ErrorKind::Failed),
        };
        told.about(name)
    }

    /// An error of the SSH connection to this machine.
    pub fn of_ssh(error: SshError, name: &str) -> Self {
        let told = |kind| described(kind, &error);
        let connection = |hint: String| told(ErrorKind::Connection).hint(hint);
        let told = match &error {
            SshError::NoProgram { .. } if rmachine_ssh::HAS_NATIVE_BACKEND => {
                told(ErrorKind::Failed).hint("export MACHINE_NATIVE_SSH=1")
            }
            SshError::NoProgram { .. } => told(ErrorKind::Failed),
            SshError::NeedsSystemSsh { .. } | SshError::NoNativeBackend => {
                told(ErrorKind::Failed).hint("unset MACHINE_NATIVE_SSH")
            }
            SshError::HostKeyChanged { known_hosts, .. } => {
                connection(format!("ssh-keygen -R NAME -f {}", shell_word(known_hosts)))
            }
            SshError::AuthRefused { host, user, .. } => {
                connection(format!("ssh-copy-id {}", quoted(&format!("{user}@{host}"))))
            }
            SshError::KeyTooOpen { path, .. } => {
                connection(format!("chmod 600 {}", shell_word(path)))
            }
            SshError::PassphraseNeeded { key } => {
                connection(format!("ssh-add {}", shell_word(key)))
            }
            SshError::SudoPasswordNeeded { .. } => {
                connection("rmachine create --generic-sudo-password-file FILE …".to_owned())
            }
            SshError::TimedOut { .. } => told(ErrorKind::TimedOut),
            SshError::KeyUnreadable { path, .. } => {
                connection(format!("ls -l {}", shell_word(path)))
            }
            SshError::SudoPasswordFile { path, .. } => {
                connection(format!("chmod 600 {}", shell_word(path)))
            }
            SshError::SudoRefused { .. } | SshError::SudoAbsent { .. } => {
                connection("rmachine create --generic-ssh-user root …".to_owned())
            }
            SshError::Unreachable { .. } | SshError::ConnectionLost { .. } => {
                told(ErrorKind::Connection)
            }
            SshError::UploadFailed { .. }
            | SshError::Unusable { .. }
            | SshError::Protocol { .. }
            | SshError::Local { .. } => told(ErrorKind::Failed),
        };
        told.about(name)
    }
}

/// A path as a shell reads it.
pub(super) fn shell_word(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A word as a shell reads it.
pub(super) fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}
