use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmachine_pki::{
    ClientIdentity, ManagerKey, PkiError, PrivateKeyPem, ServerIdentity, client_config,
    server_config, unverified_client_config,
};
use rustls::{ClientConfig, ServerConfig};

/// The files of `--tlscacert`, `--tlscert` and `--tlskey`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The authority of clients and engines. Without one, which is `--tls` and not `--tlsverify`,
    /// every client is let in and no engine is verified.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to both.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whether agents are let in, too.
    pub admits_agents: bool,
}

/// Both sides of mutual TLS.
#[derive(Clone)]
pub struct TlsConfigs {
    /// Towards clients.
    pub server: Arc<ServerConfig>,
    /// Towards engines, and towards the primary.
    pub client: Arc<ClientConfig>,
    /// Signs statements, and verifies those of other managers; `None` without a CA.
    pub manager_key: Option<Arc<ManagerKey>>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// What they hold is no use.
    #[error("the certificates in {files} cannot be used")]
    Unusable {
        /// Which.
        files: String,
        /// Why.
        source: PkiError,
    },
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(&self) -> Result<TlsConfigs, TlsError> {
        let ca = self.ca.as_deref().map(read).transpose()?;
        let certificate = read(&self.certificate)?;
        let key = PrivateKeyPem::from(read(&self.key)?);
        let unusable = |source| TlsError::Unusable {
            files: self.to_string(),
            source,
        };
        let server = server_config(&ServerIdentity {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
            admits_agents: self.admits_agents,
        });
        let (client, manager_key) = match ca {
            Some(ca) => {
                let identity = ClientIdentity {
                    ca,
                    certificate,
                    key,
                };
                let manager_key = ManagerKey::new(&identity).map_err(unusable)?;
                (client_config(&identity), Some(Arc::new(manager_key)))
            }
            None => (unverified_client_config(&certificate, &key), None),
        };
        Ok(TlsConfigs {
            server: server.map_err(unusable)?,
            client: client.map_err(unusable)?,
            manager_key,
        })
    }
}

impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ca) = &self.ca {
            write!(f, "{}, ", ca.display())?;
        }
        write!(
            f,
            "{} and {}",
            self.certificate.display(),
            self.key.display()
        )
    }
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
