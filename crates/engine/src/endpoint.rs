use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::EngineError;

/// Where an engine listens.
#[derive(Clone, Debug)]
pub enum EngineEndpoint {
    /// Behind mutual TLS.
    Tls {
        /// A host name or IP address, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
        /// Whom we trust and what we show.
        config: Arc<ClientConfig>,
    },
    /// Unprotected TCP.
    Plain {
        /// A host name or IP address, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// A local socket.
    Unix(PathBuf),
}

impl EngineEndpoint {
    /// The endpoint behind mutual TLS at `tcp://host:port`; IPv6 addresses stand in brackets.
    ///
    /// # Errors
    /// [`EngineError::InvalidEndpoint`].
    pub fn tls(url: &str, config: Arc<ClientConfig>) -> Result<Self, EngineError> {
        let (host, port) = tcp(url)?;
        Ok(Self::Tls { host, port, config })
    }

    /// The endpoint without TLS at `unix:///path` or `tcp://host:port`.
    ///
    /// # Errors
    /// [`EngineError::InvalidEndpoint`].
    pub fn without_tls(url: &str) -> Result<Self, EngineError> {
        match url.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            _ => {
                let (host, port) = tcp(url)?;
                Ok(Self::Plain { host, port })
            }
        }
    }

    /// The value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Tls { host, port, .. } | Self::Plain { host, port } => {
                let brackets = host.contains(':');
                match brackets {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                }
            }
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for EngineEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { .. } | Self::Plain { .. } => write!(f, "tcp://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

fn tcp(url: &str) -> Result<(String, u16), EngineError> {
    let read = || {
        let authority = url.strip_prefix("tcp://")?.trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':')?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        // Without brackets, the last part of an IPv6 address would be taken for a port.
        let host = bracketed.or_else(|| (!host.contains(':')).then_some(host))?;
        let port = port.parse().ok()?;
        (!host.is_empty()).then(|| (host.to_owned(), port))
    };
    read().ok_or_else(|| EngineError::InvalidEndpoint {
        url: url.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_addresses() {
        for (url, host, port) in [
            ("tcp://10.0.0.1:2376", "10.0.0.1", 2376),
            ("tcp://db.example.org:1/", "db.example.org", 1),
            ("tcp://[fd00::1]:2376", "fd00::1", 2376),
        ] {
            assert_eq!(tcp(url).unwrap(), (host.to_owned(), port));
        }
        for bad in [
            "",
            "tcp://h",
            "http://h:1",
            "tcp://:1",
            "tcp://fd00::1:2376",
            "tcp://h:99999",
        ] {
            assert!(tcp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_what_it_read() {
        for url in [
            "tcp://[fd00::1]:2375",
            "tcp://h:2375",
            "unix:///run/a b.sock",
        ] {
            let endpoint = EngineEndpoint::without_tls(url).unwrap();
            assert_eq!(endpoint.to_string(), url);
        }
        for bad in [
            "unix://",
            "unix://run/docker.sock",
            "/run/docker.sock",
            "npipe:////./pipe/x",
        ] {
            assert!(EngineEndpoint::without_tls(bad).is_err(), "{bad}");
        }
    }
}
