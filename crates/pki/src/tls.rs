use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::purpose::ClientsAndAgents;
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

/// What a server shows and whom it lets in.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// The one authority whose clients are let in, in PEM; without one everybody is.
    pub ca: Option<String>,
    /// The server's certificate in PEM.
    pub certificate: String,
    /// The server's private key in PEM.
    pub key: PrivateKeyPem,
    /// Whether agents are let in, too; the server has to look at [`is_agent`](crate::is_agent).
    pub admits_agents: bool,
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
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?
        .with_root_certificates(roots(&identity.ca)?)
        .with_client_auth_cert(certificates(&identity.certificate)?, key(&identity.key)?)
        .map_err(PkiError::Tls)?;
    Ok(Arc::new(config))
}

/// The client's side where no server is verified, which protects from nobody who can stand between
/// the two: only for those who ask for it in so many words.
///
/// # Errors
/// As [`client_config`].
pub fn unverified_client_config(
    certificate: &str,
    private_key: &PrivateKeyPem,
) -> Result<Arc<ClientConfig>, PkiError> {
    let provider = crypto_provider();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_client_auth_cert(certificates(certificate)?, key(private_key)?)
        .map_err(PkiError::Tls)?;
    Ok(Arc::new(config))
}

/// The server's side of TLS; of mutual TLS where the identity names an authority.
///
/// # Errors
/// As [`client_config`].
pub fn server_config(identity: &ServerIdentity) -> Result<Arc<ServerConfig>, PkiError> {
    let config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?;
    let config = match &identity.ca {
        None => config.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), crypto_provider());
            let clients = verifier.build().map_err(|error| PkiError::NoCertificate {
                reason: error.to_string(),
            })?;
            config.with_client_cert_verifier(match identity.admits_agents {
                true => Arc::new(ClientsAndAgents::new(clients, roots)),
                false => clients,
            })
        }
    };
    let config = config
        .with_single_cert(certificates(&identity.certificate)?, key(&identity.key)?)
        .map_err(PkiError::Tls)?;
    Ok(Arc::new(config))
}

/// Takes every server for the one that was meant.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) fn roots(pem: &str) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(pem)? {
        roots.add(ca).map_err(PkiError::Tls)?;
    }
    Ok(roots)
}

pub(crate) fn key(pem: &PrivateKeyPem) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| PkiError::NoKey(rcgen::Error::CouldNotParseKeyPair))
}

pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
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
    fn a_server_needs_its_own_key_and_a_readable_authority() {
        let (ca, server) = made();
        let (_, other) = made();
        let identity = ServerIdentity {
            ca: Some(ca.certificate),
            certificate: server.certificate,
            key: server.key,
            admits_agents: false,
        };
        server_config(&identity).unwrap();
        unverified_client_config(&identity.certificate, &identity.key).unwrap();
        let unreadable = ServerIdentity {
            ca: Some("x".to_owned()),
            ..identity.clone()
        };
        assert!(matches!(
            server_config(&unreadable).unwrap_err(),
            PkiError::NoCertificate { .. }
        ));
        let swapped = ServerIdentity {
            key: other.key,
            ..identity
        };
        assert!(matches!(
            server_config(&swapped).unwrap_err(),
            PkiError::Tls(rustls::Error::InconsistentKeys(_))
        ));
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
