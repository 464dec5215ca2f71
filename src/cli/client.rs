//! How a docker client reaches a machine: what `env` and `config` print, and `ls` asks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rmachine_driver::HostAddress;
use rmachine_engine::{Engine, EngineEndpoint, EngineError};
use rmachine_machine::MachineFile;
use rmachine_pki::{ClientIdentity, client_config};

use super::{App, Machine};
use crate::error::{CommandError, ErrorKind};

/// How long `env` and `config` wait for the engine before they say that it does not answer.
const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// The port that stands for an engine without TLS.
const PLAIN_PORT: u16 = 2375;

/// What a docker client needs to reach a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// `DOCKER_HOST`.
    pub url: String,
    /// The directory with `ca.pem`, `cert.pem` and `key.pem`; `None` where the engine is reached
    /// without TLS.
    pub certificates: Option<PathBuf>,
}

impl Client {
    /// The client of a machine's engine.
    ///
    /// # Errors
    /// When the driver cannot tell the URL: the machine is not running.
    pub async fn of(app: &App, machine: &Machine) -> Result<Self, CommandError> {
        Ok(Self::at(app, machine, url_of(machine).await?))
    }

    /// The client of the cluster that a machine is the master of.
    ///
    /// # Errors
    /// When the machine is no master; as [`Client::of`].
    pub async fn of_swarm(app: &App, machine: &Machine) -> Result<Self, CommandError> {
        let name = machine.name();
        if machine.record.own.swarm_mode.is_some() {
            let manager = swarm_manager(app, machine)?;
            return Ok(Self::at(app, machine, url_of(&manager).await?));
        }
        if !machine.record.swarm.master {
            return Err(CommandError::failed(format!(
                "{name:?} is not a swarm master; the --swarm flag is intended for use with swarm \
                 masters",
                name = name.as_str()
            ))
            .hint("rmachine ls"));
        }
        let url = swarm_url(&url_of(machine).await?, &machine.record.swarm.host);
        let url = url.ok_or_else(|| {
            CommandError::failed(format!(
                "the swarm host of {name} has no port: {:?}",
                machine.record.swarm.host
            ))
        })?;
        Ok(Self::at(app, machine, url))
    }

    /// The client of an engine at this URL, with the machine's certificates.
    pub fn at(app: &App, machine: &Machine, url: String) -> Self {
        let certificates = speaks_tls(&url).then(|| directory(app, machine));
        Self { url, certificates }
    }

    /// The host in the URL; `None` for a socket.
    pub fn host(&self) -> Option<&str> {
        split_url(&self.url).map(|(host, _)| host)
    }

    /// The engine, not connected yet.
    ///
    /// # Errors
    /// When a certificate cannot be read or used.
    pub fn engine(&self, limit: Duration) -> Result<Engine, CommandError> {
        let endpoint = match &self.certificates {
            None => EngineEndpoint::without_tls(&self.url),
            Some(dir) => {
                let config = client_config(&identity(dir)?).map_err(|error| {
                    CommandError::new(
                        ErrorKind::Connection,
                        format!(
                            "the client's certificates in {} cannot be used",
                            dir.display()
                        ),
                    )
                    .caused_by(&error)
                })?;
                EngineEndpoint::tls(&self.url, config)
            }
        };
        let endpoint = endpoint
            .map_err(|_| CommandError::failed(format!("{:?} is no URL of an engine", self.url)))?;
        Ok(Engine::new(endpoint, limit))
    }

    /// Connects to the very URL with the very certificates, and hears an answer.
    ///
    /// # Errors
    /// When there is none; the hint says what to do about it.
    pub async fn check(&self, machine: &Machine) -> Result<(), CommandError> {
        let name = machine.name().as_str();
        let failed = |error: CommandError| {
            let mut error = error.context(format!(
                "the engine of {name} does not answer at {}",
                self.url
            ));
            if error.kind == ErrorKind::Failed {
                error.kind = ErrorKind::Connection;
            }
            if !machine.record.own.journal.is_ready() {
                error.hints = vec![format!("rmachine create {name}")];
            }
            error
        };
        let engine = self.engine(CHECK_LIMIT).map_err(failed)?;
        match engine.ping().await {
            Ok(_) => Ok(()),
            // An engine that answers with a refusal has answered, over TLS if it was asked for.
            Err(EngineError::Refused { .. }) => Ok(()),
            Err(error) => Err(failed(CommandError::of_engine(error, name))),
        }
    }
}

/// The machine itself where it is a manager in swarm mode, else the one whose swarm it has joined.
fn swarm_manager(app: &App, machine: &Machine) -> Result<Machine, CommandError> {
    let mode = machine.record.own.swarm_mode.as_ref();
    let joined = mode.filter(|mode| !mode.manager);
    let name = joined.and_then(|mode| mode.join.as_ref());
    app.machine(name.unwrap_or(machine.name()))
}

async fn url_of(machine: &Machine) -> Result<String, CommandError> {
    let url = machine.driver.url().await;
    url.map_err(|error| CommandError::from(error).of_machine(machine.name().as_str()))
}

/// Where the client's certificates are: the machine's own copies, else those of the store, which
/// is where a machine that nobody provisioned has them.
fn directory(app: &App, machine: &Machine) -> PathBuf {
    let layout = app.store.layout();
    let own = layout.machine_file(machine.name(), MachineFile::CaCertificate);
    match own.exists() || !layout.ca_certificate().exists() {
        true => layout.machine_dir(machine.name()),
        false => layout.certs_dir(),
    }
}

fn identity(dir: &Path) -> Result<ClientIdentity, CommandError> {
    let read = |file: MachineFile| {
        let path = dir.join(file.file_name());
        std::fs::read_to_string(&path).map_err(|error| {
            CommandError::new(
                ErrorKind::Connection,
                format!("cannot read {}", path.display()),
            )
            .caused_by(&error)
        })
    };
    Ok(ClientIdentity {
        ca: read(MachineFile::CaCertificate)?,
        certificate: read(MachineFile::ClientCertificate)?,
        key: read(MachineFile::ClientKey)?.into(),
    })
}

/// Whether an engine at this URL is spoken to over TLS: everything but a socket and port 2375.
fn speaks_tls(url: &str) -> bool {
    !matches!(split_url(url), None | Some((_, PLAIN_PORT)))
}

/// The URL of the cluster: the machine's host, and the port of `--swarm-host`.
pub fn swarm_url(url: &str, swarm_host: &str) -> Option<String> {
    let (_, port) = split_url(swarm_host)?;
    let host: HostAddress = split_url(url)?.0.parse().ok()?;
    Some(format!("tcp://{}:{port}", host.in_url()))
}

/// Host and port of `tcp://host:port`; an IPv6 literal loses its brackets.
fn split_url(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "tcp" | "http" | "https") {
        return None;
    }
    let rest = rest.split('/').next()?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    (!host.is_empty()).then_some(())?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_urls() {
        for (url, parts) in [
            ("tcp://10.0.0.1:2376", Some(("10.0.0.1", 2376))),
            ("tcp://[fd00::1]:2376", Some(("fd00::1", 2376))),
            ("https://db.example.org:1/", Some(("db.example.org", 1))),
            ("unix:///var/run/docker.sock", None),
            ("tcp://10.0.0.1", None),
            ("tcp://:2376", None),
            ("tcp://h:99999", None),
            ("h:1", None),
        ] {
            assert_eq!(split_url(url), parts, "{url}");
        }
    }

    #[test]
    fn a_socket_and_the_plain_port_do_without_tls() {
        assert!(speaks_tls("tcp://h:2376"));
        assert!(speaks_tls("tcp://h:3376"));
        assert!(!speaks_tls("tcp://h:2375"));
        assert!(!speaks_tls("unix:///run/docker.sock"));
    }

    #[test]
    fn a_cluster_has_its_own_port() {
        let url = |url, host| swarm_url(url, host);
        assert_eq!(
            url("tcp://10.0.0.1:2376", "tcp://0.0.0.0:3376").unwrap(),
            "tcp://10.0.0.1:3376"
        );
        assert_eq!(
            url("tcp://[fd00::1]:2376", "tcp://0.0.0.0:4000").unwrap(),
            "tcp://[fd00::1]:4000"
        );
        assert_eq!(url("tcp://10.0.0.1:2376", ""), None);
    }
}
