use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{CertificateLock, Layout, StoreError, atomic};

/// Other places for the shared certificates than the store's own: docker-machine's global flags
/// `--tls-ca-cert` and its like.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateOverrides {
    /// The CA's certificate.
    pub ca_certificate: Option<PathBuf>,
    /// The CA's private key.
    pub ca_key: Option<PathBuf>,
    /// The client's certificate.
    pub client_certificate: Option<PathBuf>,
    /// The client's private key.
    pub client_key: Option<PathBuf>,
}

/// One of the shared files.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SharedPem {
    /// The CA's certificate.
    CaCertificate,
    /// The CA's private key.
    CaKey,
    /// The client's certificate.
    ClientCertificate,
    /// The client's private key.
    ClientKey,
    /// The certificate of the authority of stores: whoever is let into one is no client of engines.
    StoreCaCertificate,
    /// Its private key.
    StoreCaKey,
}

/// Where the CA and the client's identity lie, which all machines share.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificatePaths {
    dir: PathBuf,
    ca_certificate: PathBuf,
    ca_key: PathBuf,
    client_certificate: PathBuf,
    client_key: PathBuf,
    store_ca_certificate: PathBuf,
    store_ca_key: PathBuf,
}

impl CertificatePaths {
    pub(crate) fn new(layout: &Layout, overrides: &CertificateOverrides) -> Self {
        let or = |given: &Option<PathBuf>, own: PathBuf| given.clone().unwrap_or(own);
        Self {
            dir: layout.certs_dir(),
            ca_certificate: or(&overrides.ca_certificate, layout.ca_certificate()),
            ca_key: or(&overrides.ca_key, layout.ca_key()),
            client_certificate: or(&overrides.client_certificate, layout.client_certificate()),
            client_key: or(&overrides.client_key, layout.client_key()),
            store_ca_certificate: layout.store_ca_certificate(),
            store_ca_key: layout.store_ca_key(),
        }
    }

    /// The store's own directory of certificates, whatever was overridden.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a file lies.
    pub fn path(&self, pem: SharedPem) -> &Path {
        match pem {
            SharedPem::CaCertificate => &self.ca_certificate,
            SharedPem::CaKey => &self.ca_key,
            SharedPem::ClientCertificate => &self.client_certificate,
            SharedPem::ClientKey => &self.client_key,
            SharedPem::StoreCaCertificate => &self.store_ca_certificate,
            SharedPem::StoreCaKey => &self.store_ca_key,
        }
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read(&self, pem: SharedPem) -> Result<Option<String>, StoreError> {
        read_text(self.path(pem))
    }

    /// Writes a file whole, keys with mode 0600 and certificates with 0644. Under the lock of a
    /// preview it does nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write(
        &self,
        lock: &CertificateLock,
        pem: SharedPem,
        text: &str,
    ) -> Result<(), StoreError> {
        if lock.is_preview() {
            return Ok(());
        }
        let path = self.path(pem);
        if let Some(dir) = path.parent() {
            atomic::make_private_dir(dir)?;
        }
        match pem {
            SharedPem::CaKey | SharedPem::ClientKey | SharedPem::StoreCaKey => {
                atomic::write_private(path, text.as_bytes())
            }
            SharedPem::CaCertificate
            | SharedPem::ClientCertificate
            | SharedPem::StoreCaCertificate => atomic::write_public(path, text.as_bytes()),
        }
    }
}

pub(crate) fn read_text(path: &Path) -> Result<Option<String>, StoreError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}
