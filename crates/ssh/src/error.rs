use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a host was not reached or a command not run.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The system backend was asked for and there is no such program.
    #[error("there is no {program} program on the search path")]
    NoProgram {
        /// The program: `ssh` or `scp`.
        program: &'static str,
    },

    /// No connection came about.
    #[error("cannot reach {host} over ssh: {reason}: {detail}")]
    Unreachable {
        /// The host, as it was given.
        host: String,
        /// Why, as far as it can be told.
        reason: UnreachableReason,
        /// The words of whoever said so.
        detail: String,
    },

    /// The host shows another key than the pinned one.
    #[error(
        "the host key of {host} is not the one pinned in {}{}",
        .known_hosts.display(),
        .fingerprint.as_ref().map(|f| format!("; the host offers {f}")).unwrap_or_default()
    )]
    HostKeyChanged {
        /// The host, as it was given.
        host: String,
        /// The file that holds the pinned key.
        known_hosts: PathBuf,
        /// `SHA256:…` of the key that the host showed, where it is known.
        fingerprint: Option<String>,
    },

    /// The host accepts none of the keys that were offered.
    #[error(
        "{host} refuses to log in {user}{} ({detail})",
        .identity.as_ref().map(|key| format!(" with the key {}", key.display())).unwrap_or_default()
    )]
    AuthRefused {
        /// The host, as it was given.
        host: String,
        /// The login name.
        user: String,
        /// The one key that was offered; without it, those of the agent and of ssh's defaults.
        identity: Option<PathBuf>,
        /// The methods that the host would have taken, such as `publickey`.
        methods: Vec<String>,
        /// The words of whoever said so.
        detail: String,
    },

    /// The private key's file cannot be read or holds no private key.
    #[error("the private key {} cannot be read: {reason}", .path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// Others may read the private key, so it is not used.
    #[error("the private key {} can be read by others (mode {mode:04o})", .path.display())]
    KeyTooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// The private key is protected by a passphrase, and nobody gave the right one.
    #[error("the private key {} needs its passphrase", .key.display())]
    PassphraseNeeded {
        /// The key's file.
        key: PathBuf,
    },

    /// The user may become root only with a password, and nobody gave one.
    #[error("sudo on {host} wants a password")]
    SudoPasswordNeeded {
        /// The host, as it was given.
        host: String,
    },

    /// sudo does not let the user become root.
    #[error("sudo on {host} refuses: {stderr}")]
    SudoRefused {
        /// The host, as it was given.
        host: String,
        /// What sudo said.
        stderr: String,
    },

    /// The user is not root, and the host has no sudo.
    #[error("the login user of {host} is not root and there is no sudo")]
    SudoAbsent {
        /// The host, as it was given.
        host: String,
    },

    /// The file with sudo's password cannot be used.
    #[error("the sudo password file {} cannot be used: {reason}", .path.display())]
    SudoPasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// A step took too long and was ended.
    #[error("{step}: not done after {} s", .limit.as_secs_f32())]
    TimedOut {
        /// What was being done.
        step: String,
        /// The time it had.
        limit: Duration,
    },

    /// The connection broke while a step ran; whether the step was done is not known.
    #[error("{step}: the connection was lost{}", after_colon(.stderr))]
    ConnectionLost {
        /// What was being done.
        step: String,
        /// What was written to standard error before, by the step or by ssh.
        stderr: String,
    },

    /// The host could not write an uploaded file.
    #[error("cannot write {} on the host: {stderr}", .path.display())]
    UploadFailed {
        /// The file, on the host.
        path: PathBuf,
        /// What the host's commands said.
        stderr: String,
    },

    /// The native backend cannot do that; the system's ssh can.
    #[error("the built-in ssh cannot do {feature}, the system's ssh can")]
    NeedsSystemSsh {
        /// What was asked of it: `ProxyJump`.
        feature: String,
    },

    /// The native backend was chosen and is not in this build.
    #[error("this build has no built-in ssh client (feature native-ssh)")]
    NoNativeBackend,

    /// A value cannot be handed to ssh without being taken for something else.
    #[error("{value:?} cannot be used with ssh: {reason}")]
    Unusable {
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The two sides do not understand each other.
    #[error("{step}: {detail}")]
    Protocol {
        /// What was being done.
        step: String,
        /// What went wrong.
        detail: String,
    },

    /// Something on this side failed: a process, a file.
    #[error("cannot {action}")]
    Local {
        /// What was tried: "start ssh".
        action: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Why no connection came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnreachableReason {
    /// Nothing listens at that port.
    #[error("the connection was refused")]
    Refused,
    /// Nobody answered in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// The name has no address.
    #[error("its name is not known")]
    NameUnknown,
    /// No route leads there.
    #[error("there is no route to it")]
    NoRoute,
    /// It hung up before the greeting was over.
    #[error("it hung up")]
    Closed,
    /// Anything else.
    #[error("the connection failed")]
    Other,
}

impl SshError {
    /// Whether the same call may work a little later with nothing changed: the host may be booting.
    pub fn is_transient(&self) -> bool {
        use UnreachableReason::{Closed, NoRoute, Refused, TimedOut};
        match self {
            Self::Unreachable { reason, .. } => {
                matches!(reason, Refused | TimedOut | NoRoute | Closed)
            }
            Self::ConnectionLost { .. } => true,
            _ => false,
        }
    }
}

fn after_colon(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
