use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::info::sans;
use crate::{Purpose, San};

/// Identity in the certificate that a peer presented in a verified TLS handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate {
    /// Role that the certificate is restricted to.
    pub purpose: Option<Purpose>,
    /// Distinguished name, as `O=…, CN=…`.
    pub subject: String,
    /// Names and addresses that the CA vouches for.
    pub sans: Vec<San>,
    /// DER encoding of the public key with its algorithm.
    pub public_key: Vec<u8>,
}

impl PeerCertificate {
    /// Reads a DER certificate; `None` if it cannot be parsed.
    pub fn read(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self {
            purpose: Purpose::of(certificate),
            subject: parsed.subject().to_string(),
            sans: sans(&parsed),
            public_key: parsed.public_key().raw.to_vec(),
        })
    }
}

/// The server is trusted, but its certificate is not a manager's.
#[derive(Clone, Copy, thiserror::Error)]
#[error("the certificate does not identify a manager")]
struct NotAManager;

/// rustls prints the error of a custom verifier with `Debug`.
impl fmt::Debug for NotAManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Accepts servers of the CA that are managers by [`Purpose`].
#[derive(Debug)]
pub(crate) struct ManagersOnly(pub(crate) Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for ManagersOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        if Purpose::of(end_entity) != Some(Purpose::Manager) {
            return Err(CertificateError::Other(OtherError(Arc::new(NotAManager))).into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::{Authority, CertifiedPem, KeyType, ServerRequest};

    fn request(name: &str, address: &str) -> ServerRequest {
        ServerRequest {
            name: name.to_owned(),
            organization: "ann".to_owned(),
            sans: vec![San::from(address.to_owned())],
            client_auth: true,
            key: KeyType::Ecdsa,
        }
    }

    fn der(made: &CertifiedPem) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()
    }

    #[test]
    fn peer_certificate_has_purpose_subject_and_names() {
        let (authority, _) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let first = authority.issue_agent(&request("n1", "10.0.0.1")).unwrap();
        let second = authority.issue_agent(&request("n1", "10.0.0.1")).unwrap();
        let (first, second) = [first, second]
            .map(|made| PeerCertificate::read(&der(&made)).unwrap())
            .into();
        assert_eq!(first.purpose, Some(Purpose::Agent));
        assert!(first.subject.contains("CN=n1"), "{}", first.subject);
        assert_eq!(first.sans, [San::from("10.0.0.1".to_owned())]);
        assert_eq!(first.subject, second.subject);
        assert_ne!(first.public_key, second.public_key);
        assert_eq!(PeerCertificate::read(b"x"), None);
    }

    #[test]
    fn manager_accepts_only_managers_as_peers() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&ca)).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crate::crypto_provider());
        let verifier = ManagersOnly(verifier.build().unwrap());
        let verify = |made: &CertifiedPem| {
            let name = ServerName::try_from("10.0.0.1").unwrap();
            verifier.verify_server_cert(&der(made), &[], &name, &[], UnixTime::now())
        };
        let manager = authority.issue_manager(&request("m", "10.0.0.1")).unwrap();
        verify(&manager).unwrap();
        let engine = authority.issue_server(&request("n", "10.0.0.1")).unwrap();
        let error = verify(&engine).unwrap_err().to_string();
        assert!(error.contains("does not identify a manager"), "{error}");
        let elsewhere = authority.issue_manager(&request("m", "10.0.0.2")).unwrap();
        verify(&elsewhere).unwrap_err();
    }
}
