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

/// The purpose of an agent's certificate (extended key usage), an identifier that is ours: under
/// 2.25 everybody may make one from a random number (ITU-T X.667).
///
/// Engines let in whoever has a client's certificate of their authority, so one of a client on
/// every node would be the key to all nodes. With this purpose alone, no engine accepts it.
pub(crate) const PURPOSE: [u64; 3] = [2, 25, 6_717_853_601_050_529_640];

/// [`PURPOSE`] as it is written in a certificate.
const PURPOSE_DER: &[u8] = &[0x69, 0xdd, 0x9d, 0xa7, 0x88, 0x9e, 0xbd, 0xc8, 0x9e, 0x68];

/// Whether a certificate, in DER, is an agent's: good for registering nodes, and not for a client.
pub fn is_agent(certificate: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return false;
    };
    let others = &usage.value.other;
    !usage.value.any
        && !usage.value.client_auth
        && others.iter().any(|other| other.as_bytes() == PURPOSE_DER)
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
                KeyUsage::required(PURPOSE_DER),
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

    #[test]
    fn agents_are_known_by_the_purpose_of_their_certificates() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let (stranger, _) = Authority::create("eve", KeyType::Ecdsa).unwrap();
        let agent = |authority: &Authority| {
            let issued = authority.issue_agent("n1", "ann", KeyType::Ecdsa);
            der(&issued.unwrap().certificate)
        };
        let client = authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        let client = der(&client.certificate);
        let server = authority.issue_server(&ServerRequest {
            name: "n1".to_owned(),
            organization: "ann".to_owned(),
            sans: Vec::new(),
            client_auth: false,
            key: KeyType::Ecdsa,
        });
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
