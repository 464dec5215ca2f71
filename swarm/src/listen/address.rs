use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--host` takes: `[tcp://]HOST:PORT`, where no host means every address, or `unix://PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// A port, on one address or all.
    Tcp {
        /// The address or name; empty for all.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidListenAddress {
    /// Neither TCP nor a socket.
    #[error("unsupported protocol: {0:?}")]
    Protocol(String),
    /// There is no port, or it is none.
    #[error("{0:?} has no port from 0 to 65535")]
    Port(String),
    /// `unix://` without an absolute path.
    #[error("{0:?} names no absolute path")]
    Path(String),
}

impl ListenAddress {
    /// Where a client on the same machine reaches it: the loopback where it listens everywhere.
    pub fn local_url(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp { host, port } => match host.as_str() {
                "" | "0.0.0.0" => format!("tcp://127.0.0.1:{port}"),
                "::" => format!("tcp://[::1]:{port}"),
                v6 if v6.contains(':') => format!("tcp://[{v6}]:{port}"),
                name => format!("tcp://{name}:{port}"),
            },
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match protocol {
            "tcp" => {
                let no_port = || InvalidListenAddress::Port(text.to_owned());
                let (host, port) = rest.rsplit_once(':').ok_or_else(no_port)?;
                let bare = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'));
                if bare.is_none() && host.contains(':') {
                    return Err(no_port());
                }
                // Rust's numbers may have a plus before them; ports have none.
                if port.starts_with('+') {
                    return Err(no_port());
                }
                Ok(Self::Tcp {
                    host: bare.unwrap_or(host).to_owned(),
                    port: port.parse().map_err(|_| no_port())?,
                })
            }
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(InvalidListenAddress::Path(text.to_owned())),
            other => Err(InvalidListenAddress::Protocol(other.to_owned())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for (text, shown, local) in [
            (":2375", "tcp://:2375", "tcp://127.0.0.1:2375"),
            (
                "tcp://0.0.0.0:3376",
                "tcp://0.0.0.0:3376",
                "tcp://127.0.0.1:3376",
            ),
            ("127.0.0.2:1", "tcp://127.0.0.2:1", "tcp://127.0.0.2:1"),
            ("tcp://[::]:9", "tcp://[::]:9", "tcp://[::1]:9"),
            (
                "tcp://[fd00::1]:9",
                "tcp://[fd00::1]:9",
                "tcp://[fd00::1]:9",
            ),
            (
                "unix:///run/a b.sock",
                "unix:///run/a b.sock",
                "unix:///run/a b.sock",
            ),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.local_url(), local);
        }
    }

    #[test]
    fn refuses_what_nobody_can_listen_on() {
        let error = |text: &str| text.parse::<ListenAddress>().unwrap_err().to_string();
        assert_eq!(error("udp://h:1"), "unsupported protocol: \"udp\"");
        for text in ["tcp://h", "h", "h:x", "h:65536", "fd00::1:9", ""] {
            assert!(error(text).contains("has no port"), "{text}");
        }
        assert!(error("unix://run/x").contains("absolute"));
    }
}
