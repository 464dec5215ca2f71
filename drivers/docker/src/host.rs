use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where the engine that makes the machines listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum DockerHost {
    /// A socket.
    Unix(PathBuf),
    /// A port of this machine's loopback, without TLS.
    Loopback(IpAddr, u16),
}

impl FromStr for DockerHost {
    type Err = InvalidDockerHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix://") {
            let path = Path::new(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err(InvalidDockerHost)
            };
        }
        let address = text.strip_prefix("tcp://").ok_or(InvalidDockerHost)?;
        let (host, port) = address.rsplit_once(':').ok_or(InvalidDockerHost)?;
        let host = match host {
            "localhost" => "127.0.0.1",
            other => other.trim_start_matches('[').trim_end_matches(']'),
        };
        let ip: IpAddr = host.parse().map_err(|_| InvalidDockerHost)?;
        let port = port.parse().map_err(|_| InvalidDockerHost)?;
        if ip.is_loopback() {
            Ok(Self::Loopback(ip, port))
        } else {
            Err(InvalidDockerHost)
        }
    }
}

impl TryFrom<String> for DockerHost {
    type Error = InvalidDockerHost;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DockerHost> for String {
    fn from(host: DockerHost) -> Self {
        host.to_string()
    }
}

impl fmt::Display for DockerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Loopback(IpAddr::V6(ip), port) => write!(f, "tcp://[{ip}]:{port}"),
            Self::Loopback(ip, port) => write!(f, "tcp://{ip}:{port}"),
        }
    }
}

/// The text names no engine of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "machines are made on an engine of this computer: unix:///path/of/docker.sock or tcp://127.0.0.1:port"
)]
pub struct InvalidDockerHost;

/// Where engines usually listen, the first to be tried first.
///
/// `DOCKER_HOST` is not among them: after `eval $(rmachine env n1)` it names a machine.
pub fn usual_sockets(home: Option<&Path>) -> Vec<DockerHost> {
    let in_home = [
        ".docker/run/docker.sock",
        ".docker/desktop/docker.sock",
        ".colima/default/docker.sock",
        ".rd/docker.sock",
    ];
    let system = PathBuf::from("/var/run/docker.sock");
    let homely = home
        .into_iter()
        .flat_map(|home| in_home.map(|socket| home.join(socket)));
    std::iter::once(system)
        .chain(homely)
        .map(DockerHost::Unix)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_and_loopback_ports() {
        for (given, shown) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://localhost:2375", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ] {
            assert_eq!(given.parse::<DockerHost>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_engines_elsewhere() {
        for bad in [
            "",
            "/var/run/docker.sock",
            "unix://docker.sock",
            "tcp://10.0.0.1:2375",
            "tcp://127.0.0.1",
            "ssh://host",
        ] {
            assert!(bad.parse::<DockerHost>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_system_socket_comes_first() {
        let sockets = usual_sockets(Some(Path::new("/home/a")));
        assert_eq!(sockets[0].to_string(), "unix:///var/run/docker.sock");
        assert_eq!(sockets.len(), 5);
        assert_eq!(usual_sockets(None).len(), 1);
    }
}
