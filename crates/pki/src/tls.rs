use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::{PkiError, PrivateKeyPem};

/// What a client shows and whom it trusts.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The one authority whose servers are trusted, in PEM.
    pub ca: String,
    /// The client's certificate in PEM.
    pub certificate: String,
    /// The client's private key in PEM.
    pub key: PrivateKeyPem,
}

/// The crypto provider of every TLS connection: nothing else chooses one.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The client's side of mutual TLS: trusts that one authority, and shows that one certificate.
///
/// # Errors
/// When one of the texts cannot be read, or the key is not that of the certificate.
pub fn client_config(identity: &ClientIdentity) -> Result<Arc<ClientConfig>, PkiError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(&identity.ca)? {
        roots.add(ca).map_err(PkiError::Tls)?;
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
        .map_err(|_| PkiError::NoKey(rcgen::Error::CouldNotParseKeyPair))?;
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&identity.certificate)?, key)
        .map_err(PkiError::Tls)?;
    Ok(Arc::new(config))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let unreadable = |reason: String| PkiError::NoCertificate { reason };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    match read.is_empty() {
        true => Err(unreadable("it holds none".to_owned())),
        false => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, CertifiedPem, KeyType};

    fn made() -> (CertifiedPem, CertifiedPem) {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let client = authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        (ca, client)
    }

    #[test]
    fn needs_certificates_and_the_key_of_the_clients() {
        let (ca, client) = made();
        let (_, other) = made();
        let identity = ClientIdentity {
            ca: ca.certificate,
            certificate: client.certificate,
            key: client.key,
        };
        client_config(&identity).unwrap();
        let of = |change: fn(&mut ClientIdentity)| {
            let mut changed = identity.clone();
            change(&mut changed);
            client_config(&changed).unwrap_err()
        };
        assert!(matches!(
            of(|identity| identity.ca = String::new()),
            PkiError::NoCertificate { .. }
        ));
        assert!(matches!(
            of(|identity| identity.certificate = "x".to_owned()),
            PkiError::NoCertificate { .. }
        ));
        assert!(matches!(
            of(|identity| identity.key = String::new().into()),
            PkiError::NoKey(_)
        ));
        let swapped = ClientIdentity {
            key: other.key,
            ..identity.clone()
        };
        assert!(matches!(
            client_config(&swapped).unwrap_err(),
            PkiError::Tls(rustls::Error::InconsistentKeys(_))
        ));
    }
}
