use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rmachine_pki::{ClientIdentity, client_config};
use rustls::ClientConfig;

use crate::DiscoveryError;

/// What a discovery has to be told besides its URL.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The path of the members' keys, without slashes at its ends.
    pub path: String,
    /// How a store is spoken to over TLS; in the clear without it.
    pub tls: Option<Arc<ClientConfig>>,
    /// Consul's token.
    pub token: Option<Secret>,
    /// How often a discovery that tells of no changes is asked.
    pub heartbeat: Duration,
    /// How long one call may take.
    pub limit: Duration,
    /// The service that `token://TOKEN` means.
    pub discovery_url: Option<String>,
}

/// A text that is not shown to anybody. `Debug` does not, either.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Secret {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How much is read of a token or certificate file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Where the original keeps the members.
pub(crate) const NODES_PATH: &str = "docker/swarm/nodes";

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            path: NODES_PATH.to_owned(),
            tls: None,
            token: None,
            heartbeat: Duration::from_secs(60),
            limit: Duration::from_secs(10),
            discovery_url: None,
        }
    }
}

impl StoreOptions {
    /// Reads `--discovery-opt NAME=VALUE`: `kv.path`; `kv.tokenfile`, or `kv.token`, which everybody
    /// on the machine can read; and `kv.cacertfile`, `kv.certfile` and `kv.keyfile`, of which all
    /// must be there or none.
    ///
    /// # Errors
    /// [`DiscoveryError::Option`] for what is none; [`DiscoveryError::File`] and
    /// [`DiscoveryError::Certificates`] for files that cannot be used.
    pub fn parse(options: &[String]) -> Result<Self, DiscoveryError> {
        let mut parsed = Self::default();
        let [mut ca, mut certificate, mut key] = [const { None::<PathBuf> }; 3];
        for option in options {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                wrong("--discovery-opt must contain key=value strings".to_owned())
            })?;
            match name {
                "kv.path" => parsed.path = value.trim_matches('/').to_owned(),
                "kv.token" => parsed.token = Some(value.to_owned().into()),
                "kv.tokenfile" => {
                    let token = read(Path::new(value))?;
                    parsed.token = Some(token.trim().to_owned().into());
                }
                "kv.cacertfile" => ca = Some(value.into()),
                "kv.certfile" => certificate = Some(value.into()),
                "kv.keyfile" => key = Some(value.into()),
                other => return Err(wrong(format!("--discovery-opt knows no {other}"))),
            }
        }
        parsed.tls = match (ca, certificate, key) {
            (Some(ca), Some(certificate), Some(key)) => {
                let identity = ClientIdentity {
                    ca: read(&ca)?,
                    certificate: read(&certificate)?,
                    key: read(&key)?.into(),
                };
                Some(client_config(&identity).map_err(DiscoveryError::Certificates)?)
            }
            (None, None, None) => None,
            _ => {
                return Err(wrong(
                    "kv.cacertfile, kv.certfile and kv.keyfile are needed together".to_owned(),
                ));
            }
        };
        Ok(parsed)
    }
}

fn wrong(message: String) -> DiscoveryError {
    DiscoveryError::Option(message)
}

fn read(path: &Path) -> Result<String, DiscoveryError> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let reading = file.and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    match reading {
        Ok(_) => Ok(text),
        Err(source) => Err(DiscoveryError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<StoreOptions, DiscoveryError> {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        StoreOptions::parse(&options)
    }

    #[test]
    fn reads_the_originals_options() {
        assert_eq!(parse(&[]).unwrap().path, "docker/swarm/nodes");
        let options = parse(&["kv.path=/my/nodes/", "kv.token=a=b"]).unwrap();
        assert_eq!(options.path, "my/nodes");
        assert_eq!(options.token.as_ref().map(Secret::reveal), Some("a=b"));
        assert!(!format!("{options:?}").contains("a=b"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "0123-4567\n").unwrap();
        let options = parse(&[&format!("kv.tokenfile={}", file.display())]).unwrap();
        assert_eq!(options.token, Some("0123-4567".to_owned().into()));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |options: &[&str]| parse(options).unwrap_err().to_string();
        assert_eq!(
            error(&["kv.path"]),
            "--discovery-opt must contain key=value strings"
        );
        assert!(error(&["kv.nosuch=1"]).contains("kv.nosuch"));
        assert!(error(&["kv.certfile=c", "kv.keyfile=k"]).contains("together"));
        let gone = [
            "kv.cacertfile=/no/ca",
            "kv.certfile=/no/c",
            "kv.keyfile=/no/k",
        ];
        assert_eq!(error(&gone), "cannot use /no/ca");
    }
}
