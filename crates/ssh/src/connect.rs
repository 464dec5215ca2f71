use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rmachine_driver::{Secrets, SshEndpoint};

use crate::identity::inspect_identity;
use crate::program::find;
use crate::session::Session;
use crate::system::Master;
use crate::transport::Login;
use crate::{Ssh, SshError};

/// Between two attempts to reach a host that is booting.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// What the last attempt gets, however little time is left.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);

/// Whether this build has [`Backend::Native`]: the feature `native`.
pub const HAS_NATIVE_BACKEND: bool = cfg!(feature = "native");

/// Which program speaks SSH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// The user's own `ssh`: agents, hardware keys, ssh_config and jump hosts work as they do
    /// everywhere else.
    System,
    /// The library inside this program, for machines without OpenSSH.
    Native,
}

/// How to connect, the same for every host.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The backend; `None` takes the system's ssh where there is one.
    pub backend: Option<Backend>,
    /// How long one attempt to connect and log in may take.
    pub limit: Duration,
    /// Whether a person at a terminal can answer ssh's own questions.
    pub interactive: bool,
    /// What of the surroundings matters to ssh.
    pub environment: Environment,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            backend: None,
            limit: Duration::from_secs(20),
            interactive: false,
            environment: Environment::default(),
        }
    }
}

/// What of the program's surroundings matters to ssh. This crate reads no environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Environment {
    /// `PATH`: where `ssh` and `scp` are looked for.
    pub search_path: Option<OsString>,
    /// The person's home directory: default keys, `~` in paths.
    pub home: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`: the agent.
    pub agent_socket: Option<PathBuf>,
    /// An ssh_config to read in place of the person's and the system's.
    pub ssh_config: Option<PathBuf>,
    /// Where short-lived sockets and files go, each in a directory of its own with mode 0700.
    pub temp_dir: PathBuf,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            search_path: None,
            home: None,
            agent_socket: None,
            ssh_config: None,
            temp_dir: PathBuf::from("/tmp"),
        }
    }
}

/// Connects to a host and logs in.
///
/// At first contact, when nothing is pinned, the host's key is pinned in the endpoint's
/// `known_hosts`; from then on another key is an error. `secrets` is asked for a key's passphrase,
/// and for sudo's password at the first command that needs root.
///
/// # Errors
/// Any [`SshError`]; [`SshError::is_transient`] tells those of a host that may still be booting.
pub async fn connect<'a>(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    secrets: &'a dyn Secrets,
) -> Result<Box<dyn Ssh + 'a>, SshError> {
    if let Some(identity) = &endpoint.identity {
        inspect_identity(identity)?;
    }
    let login = Login {
        host: endpoint.host.to_string(),
        user: endpoint.user.clone(),
        sudo_password_file: endpoint.sudo_password_file.clone(),
    };
    let system = match (options.backend, find("ssh", &options.environment)) {
        (Some(Backend::Native), _) => None,
        (None, Err(_)) if HAS_NATIVE_BACKEND => None,
        (Some(Backend::System) | None, found) => Some(found?),
    };
    tracing::debug!(host = %login.host, system = system.is_some(), "connecting");
    Ok(match system {
        Some(ssh) => {
            let master = Master::open(ssh, endpoint, options).await?;
            Box::new(Session::new(master, login, secrets))
        }
        None => connect_natively(endpoint, options, login, secrets).await?,
    })
}

#[cfg(feature = "native")]
async fn connect_natively<'a>(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    login: Login,
    secrets: &'a dyn Secrets,
) -> Result<Box<dyn Ssh + 'a>, SshError> {
    let worker = crate::native::Worker::open(endpoint, options, secrets).await?;
    Ok(Box::new(Session::new(worker, login, secrets)))
}

#[cfg(not(feature = "native"))]
async fn connect_natively<'a>(
    _endpoint: &SshEndpoint,
    _options: &ConnectOptions,
    _login: Login,
    _secrets: &'a dyn Secrets,
) -> Result<Box<dyn Ssh + 'a>, SshError> {
    Err(SshError::NoNativeBackend)
}

/// Connects to a host that may still be booting: tries again while the error is transient.
///
/// # Errors
/// The first error that is not transient at once; the last transient one after `limit`.
pub async fn wait_until_reachable<'a>(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    secrets: &'a dyn Secrets,
    limit: Duration,
) -> Result<Box<dyn Ssh + 'a>, SshError> {
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let attempt = ConnectOptions {
            limit: options.limit.min(left).max(SHORTEST_ATTEMPT),
            ..options.clone()
        };
        match connect(endpoint, &attempt, secrets).await {
            Err(error) if error.is_transient() && begun.elapsed() + RETRY_PAUSE < limit => {
                tracing::debug!(host = %endpoint.host, %error, "not reachable yet");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(all(test, not(feature = "native")))]
mod tests {
    use rmachine_driver::NoSecrets;

    use super::*;

    #[tokio::test]
    async fn native_backend_that_is_left_out_is_an_error() {
        let endpoint = SshEndpoint {
            host: "127.0.0.1".parse().unwrap(),
            port: Some(22),
            user: Some("root".to_owned()),
            identity: None,
            known_hosts: PathBuf::from("/nonexistent/known_hosts"),
            host_key_alias: "n1".to_owned(),
            use_ssh_config: false,
            sudo_password_file: None,
        };
        let options = ConnectOptions {
            backend: Some(Backend::Native),
            ..ConnectOptions::default()
        };
        let connected = connect(&endpoint, &options, &NoSecrets).await;
        assert!(matches!(connected, Err(SshError::NoNativeBackend)));
    }
}
