//! Purposes of certificates: which of the CA's certificates belong to agents and to managers.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::crypto_provider;

/// Extended key usage of an agent's certificate. Anyone may derive an identifier under 2.25 from a
/// random number (ITU-T X.667).
///
/// Engines accept every client certificate of their CA, so a client certificate on every node would
/// give each node access to all others. A certificate with only this usage is accepted by no engine.
pub(crate) const AGENT: [u64; 3] = [2, 25, 6_717_853_601_050_529_640];

/// Extended key usage of a manager's certificate, which is a server and client certificate besides.
/// It tells a manager from an engine, whose certificate is of the same CA.
///
/// Engines parse this certificate, and Go's parser rejects a certificate with an identifier of which
/// an arc needs more than 31 bits. Below this arc of Microsoft's, a GUID is split into smaller ones.
pub(crate) const MANAGER: [u64; 14] = [
    1, 2, 840, 113_556, 1, 8000, 2554, 53_775, 35_780, 40_141, 16_877, 39_570, 922_379, 9_986_963,
];

/// DER encoding of [`AGENT`].
const AGENT_DER: &[u8] = &[0x69, 0xdd, 0x9d, 0xa7, 0x88, 0x9e, 0xbd, 0xc8, 0x9e, 0x68];

/// DER encoding of [`MANAGER`].
const MANAGER_DER: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a, 0x83, 0xa4, 0x0f, 0x82, 0x97,
    0x44, 0x82, 0xb9, 0x4d, 0x81, 0x83, 0x6d, 0x82, 0xb5, 0x12, 0xb8, 0xa6, 0x0b, 0x84, 0xe1, 0xc7,
    0x13,
];

/// Role that a certificate of our CA is restricted to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Registers nodes with a manager; no client of engines.
    Agent,
    /// Serves clients, and is a client of engines and other managers.
    Manager,
}

impl Purpose {
    /// Reads the purpose of a DER certificate. The extended key usages must match exactly: a
    /// certificate with further usages, or without one of ours, has no purpose.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Self::of_certificate(&certificate)
    }

    /// Reads the purpose of a parsed certificate.
    pub(crate) fn of_certificate(certificate: &X509Certificate<'_>) -> Option<Self> {
        let usage = certificate.extended_key_usage().ok()??.value;
        let [other] = usage.other.as_slice() else {
            return None;
        };
        let has_foreign_usage = usage.any
            || usage.code_signing
            || usage.email_protection
            || usage.time_stamping
            || usage.ocsp_signing;
        let purpose = match other.as_bytes() {
            AGENT_DER => Self::Agent,
            MANAGER_DER => Self::Manager,
            _ => return None,
        };
        let is_manager = purpose == Self::Manager;
        let matches_exactly = !has_foreign_usage
            && usage.client_auth == is_manager
            && usage.server_auth == is_manager;
        matches_exactly.then_some(purpose)
    }
}

/// Whether a DER certificate is restricted to registering nodes.
pub fn is_agent(certificate: &[u8]) -> bool {
    Purpose::of(certificate) == Some(Purpose::Agent)
}

/// Lets in an authority's clients, and its agents.
pub(crate) struct ClientsAndAgents {
    clients: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
}

impl ClientsAndAgents {
    pub(crate) fn new(clients: Arc<dyn ClientCertVerifier>, roots: Arc<RootCertStore>) -> Self {
        Self { clients, roots }
    }
}

impl fmt::Debug for ClientsAndAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientsAndAgents").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientsAndAgents {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if !is_agent(end_entity) {
            return self
                .clients
                .verify_client_cert(end_entity, intermediates, now);
        }
        let provider = crypto_provider();
        let certificate = EndEntityCert::try_from(end_entity).map_err(not_valid)?;
        certificate
            .verify_for_usage(
                provider.signature_verification_algorithms.all,
                &self.roots.roots,
                intermediates,
                now,
                KeyUsage::required(AGENT_DER),
                None,
                None,
            )
            .map_err(not_valid)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}

fn not_valid(error: webpki::Error) -> rustls::Error {
    match error {
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        _ => CertificateError::BadEncoding,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::{Authority, KeyType, ServerRequest};

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn verifier(ca: &str) -> ClientsAndAgents {
        let mut roots = RootCertStore::empty();
        roots.add(der(ca)).unwrap();
        let roots = Arc::new(roots);
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), crypto_provider());
        ClientsAndAgents::new(clients.build().unwrap(), roots)
    }

    fn request(client_auth: bool) -> ServerRequest {
        ServerRequest {
            name: "n1".to_owned(),
            organization: "ann".to_owned(),
            sans: vec![crate::San::from("10.0.0.1".to_owned())],
            client_auth,
            key: KeyType::Ecdsa,
        }
    }

    #[test]
    fn purpose_of_each_kind_of_certificate_matches_exactly() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let purpose = |made: Result<crate::CertifiedPem, crate::PkiError>| {
            Purpose::of(&der(&made.unwrap().certificate))
        };
        let agent = authority.issue_agent(&request(false));
        assert_eq!(purpose(agent), Some(Purpose::Agent));
        let manager = authority.issue_manager(&request(true));
        assert_eq!(purpose(manager), Some(Purpose::Manager));
        assert_eq!(purpose(authority.issue_server(&request(false))), None);
        assert_eq!(purpose(authority.issue_server(&request(true))), None);
        assert_eq!(purpose(authority.issue_client("ann", KeyType::Ecdsa)), None);
        assert_eq!(Purpose::of(&der(&ca.certificate)), None);
        assert_eq!(Purpose::of(b"x"), None);
    }

    #[test]
    fn arcs_of_the_manager_purpose_are_small_enough_for_go() {
        assert!(MANAGER.iter().all(|arc| *arc < 1 << 31));
    }

    #[test]
    fn manager_certificate_serves_clients_and_is_client_of_engines() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let manager = authority.issue_manager(&request(false)).unwrap();
        let info = crate::CertificateInfo::read(&manager.certificate).unwrap();
        assert!(info.client_auth && info.server_auth);
        assert_eq!(info.purpose, Some(Purpose::Manager));
        assert!(info.covers(&request(false).sans));
        let verified = verifier(&ca.certificate).verify_client_cert(
            &der(&manager.certificate),
            &[],
            UnixTime::now(),
        );
        assert!(verified.is_ok());
    }

    #[test]
    fn agents_are_known_by_the_purpose_of_their_certificates() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let (stranger, _) = Authority::create("eve", KeyType::Ecdsa).unwrap();
        let agent = |authority: &Authority| {
            let issued = authority.issue_agent(&request(false));
            der(&issued.unwrap().certificate)
        };
        let client = authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        let client = der(&client.certificate);
        let server = authority.issue_server(&request(false));
        let server = der(&server.unwrap().certificate);
        assert!(is_agent(&agent(&authority)));
        assert!(!is_agent(&client) && !is_agent(&server) && !is_agent(b"x"));

        let both = verifier(&ca.certificate);
        let lets_in = |verifier: &dyn ClientCertVerifier, certificate: &CertificateDer<'_>| {
            let verified = verifier.verify_client_cert(certificate, &[], UnixTime::now());
            verified.is_ok()
        };
        assert!(lets_in(&both, &agent(&authority)));
        assert!(lets_in(&both, &client));
        assert!(!lets_in(&both, &server));
        assert!(!lets_in(&both, &agent(&stranger)));
        assert!(!lets_in(both.clients.as_ref(), &agent(&authority)));
    }
}
