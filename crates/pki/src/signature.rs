//! Signatures of a cluster's managers, which every manager of the same CA can verify.
//!
//! A manager signs with the key of its TLS certificate. What is signed starts with [`CONTEXT`], which
//! no TLS handshake message starts with, so that neither signature can be used as the other.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::SigningKey;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::{certificates, key, roots};
use crate::{ClientIdentity, PkiError, Purpose, crypto_provider};

/// Prefix of every signed message. TLS 1.3 signs messages that start with 64 spaces, TLS 1.2 those
/// that start with a random number or with a ClientHello.
const CONTEXT: &[u8; 96] = b"\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    statement of an rswarm manager\0\0";

/// Most certificates in the chain of a signature: the signer's, and intermediates.
const MAX_CHAIN: usize = 4;

/// Signature schemes in order of preference; the first that fits the key is used.
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Key of a manager: signs, and verifies what managers of the same CA signed.
pub struct ManagerKey {
    key: Arc<dyn SigningKey>,
    chain: Vec<CertificateDer<'static>>,
    public_key: Vec<u8>,
    roots: RootCertStore,
}

/// Signature with everything that verifying it takes besides the CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// TLS number of the signature scheme.
    pub scheme: u16,
    /// Signature itself.
    pub bytes: Vec<u8>,
    /// DER certificates: the signer's, then intermediates.
    pub chain: Vec<Vec<u8>>,
}

/// Why a signature is not one of a manager.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// The chain is empty or too long.
    #[error("the signature has {0} certificates, expected 1 to {MAX_CHAIN}")]
    Chain(usize),
    /// The signer's certificate is not one of the CA, or not valid now.
    #[error("the signer's certificate is rejected: {0}")]
    Certificate(webpki::Error),
    /// The signer is not a manager.
    #[error("the signer's certificate is not one of a manager")]
    NotAManager,
    /// No known scheme has this number.
    #[error("unsupported signature scheme {0:#06x}")]
    Scheme(u16),
    /// The signature does not match the message.
    #[error("the signature does not match the content")]
    Mismatch,
}

impl ManagerKey {
    /// Reads the CA, certificate and key of a manager.
    ///
    /// # Errors
    /// When one of the texts cannot be read, or the key cannot sign.
    pub fn new(identity: &ClientIdentity) -> Result<Self, PkiError> {
        let chain = certificates(&identity.certificate)?;
        let key = crypto_provider()
            .key_provider
            .load_private_key(key(&identity.key)?)
            .map_err(PkiError::Tls)?;
        let public_key = chain.first().and_then(|leaf| public_key(leaf));
        let public_key = public_key.ok_or_else(|| PkiError::NoCertificate {
            reason: "its public key cannot be read".to_owned(),
        })?;
        Ok(Self {
            key,
            public_key,
            chain: chain.into_iter().take(MAX_CHAIN).collect(),
            roots: roots(&identity.ca)?,
        })
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`PkiError::Tls`] when the crypto provider fails.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, PkiError> {
        let signer = self.key.choose_scheme(&SCHEMES).ok_or_else(|| {
            PkiError::Tls(rustls::Error::General(
                "the private key supports no known signature scheme".to_owned(),
            ))
        })?;
        let bytes = signer.sign(&in_context(message)).map_err(PkiError::Tls)?;
        Ok(Signature {
            scheme: signer.scheme().into(),
            bytes,
            chain: self.chain.iter().map(|der| der.to_vec()).collect(),
        })
    }

    /// Verifies that a manager of this CA, with a certificate that is valid now, signed a message.
    ///
    /// A manager is known by [`Purpose::Manager`], or by the public key of this manager itself: the
    /// user's own CA issues no certificates with our purposes.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let count = signature.chain.len();
        let Some((leaf, rest)) = signature.chain.split_first().filter(|_| count <= MAX_CHAIN)
        else {
            return Err(SignatureError::Chain(count));
        };
        let is_own_key = || public_key(leaf).is_some_and(|key| key == self.public_key);
        if Purpose::of(leaf) != Some(Purpose::Manager) && !is_own_key() {
            return Err(SignatureError::NotAManager);
        }
        let algorithms = crypto_provider().signature_verification_algorithms;
        let leaf = CertificateDer::from(leaf.as_slice());
        let intermediates: Vec<_> = rest
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let certificate = EndEntityCert::try_from(&leaf).map_err(SignatureError::Certificate)?;
        certificate
            .verify_for_usage(
                algorithms.all,
                &self.roots.roots,
                &intermediates,
                UnixTime::now(),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(SignatureError::Certificate)?;
        let scheme = SignatureScheme::from(signature.scheme);
        let candidates = algorithms
            .mapping
            .iter()
            .find(|(known, _)| *known == scheme && SCHEMES.contains(known))
            .map(|(_, candidates)| *candidates)
            .ok_or(SignatureError::Scheme(signature.scheme))?;
        let message = in_context(message);
        let is_verified = candidates.iter().any(|algorithm| {
            let verified = certificate.verify_signature(*algorithm, &message, &signature.bytes);
            verified.is_ok()
        });
        if is_verified {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// SHA-256 over all parts.
pub fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let provider = match suite {
        rustls::SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        rustls::SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    };
    let mut hash = provider.start();
    for part in parts {
        hash.update(part);
    }
    hash.finish().as_ref().to_vec()
}

fn in_context(message: &[u8]) -> Vec<u8> {
    [CONTEXT.as_slice(), message].concat()
}

fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, CertifiedPem, KeyType, San, ServerRequest};

    fn request(key: KeyType) -> ServerRequest {
        ServerRequest {
            name: "n1".to_owned(),
            organization: "ann".to_owned(),
            sans: vec![San::from("10.0.0.1".to_owned())],
            client_auth: true,
            key,
        }
    }

    fn key(ca: &CertifiedPem, made: CertifiedPem) -> ManagerKey {
        ManagerKey::new(&ClientIdentity {
            ca: ca.certificate.clone(),
            certificate: made.certificate,
            key: made.key,
        })
        .unwrap()
    }

    #[test]
    fn signature_of_another_manager_of_the_ca_is_verified() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        for kind in [KeyType::Ecdsa, KeyType::Rsa] {
            let manager = || key(&ca, authority.issue_manager(&request(kind)).unwrap());
            let (one, other) = (manager(), manager());
            let signature = one.sign(b"message").unwrap();
            assert_eq!(other.verify(b"message", &signature), Ok(()), "{kind}");
            assert_eq!(
                other.verify(b"massage", &signature),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn signature_of_a_certificate_without_manager_purpose_is_rejected() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let ecdsa = KeyType::Ecdsa;
        let manager = key(&ca, authority.issue_manager(&request(ecdsa)).unwrap());
        for (whose, made) in [
            ("engine", authority.issue_server(&request(ecdsa))),
            ("client", authority.issue_client("ann", ecdsa)),
            ("agent", authority.issue_agent(&request(ecdsa))),
        ] {
            let signature = key(&ca, made.unwrap()).sign(b"x").unwrap();
            assert_eq!(
                manager.verify(b"x", &signature),
                Err(SignatureError::NotAManager),
                "{whose}"
            );
        }
    }

    #[test]
    fn signature_of_own_key_without_purpose_is_verified() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let own = key(
            &ca,
            authority.issue_server(&request(KeyType::Ecdsa)).unwrap(),
        );
        let signature = own.sign(b"x").unwrap();
        assert_eq!(own.verify(b"x", &signature), Ok(()));
    }

    #[test]
    fn signature_of_another_ca_is_rejected() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let (stranger, other) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let own = key(
            &ca,
            authority.issue_manager(&request(KeyType::Ecdsa)).unwrap(),
        );
        let theirs = key(
            &other,
            stranger.issue_manager(&request(KeyType::Ecdsa)).unwrap(),
        );
        let verified = own.verify(b"x", &theirs.sign(b"x").unwrap());
        assert!(
            matches!(verified, Err(SignatureError::Certificate(_))),
            "{verified:?}"
        );
    }

    #[test]
    fn signature_with_foreign_parts_is_rejected() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let manager = || {
            key(
                &ca,
                authority.issue_manager(&request(KeyType::Ecdsa)).unwrap(),
            )
        };
        let (one, other) = (manager(), manager());
        let signature = one.sign(b"x").unwrap();
        let changed = |change: fn(&mut Signature)| {
            let mut changed = signature.clone();
            change(&mut changed);
            one.verify(b"x", &changed).unwrap_err()
        };
        assert_eq!(changed(|it| it.chain.clear()), SignatureError::Chain(0));
        assert_eq!(
            changed(|it| it.chain = vec![it.chain[0].clone(); 9]),
            SignatureError::Chain(9)
        );
        assert_eq!(
            changed(|it| it.chain[0] = b"x".to_vec()),
            SignatureError::NotAManager
        );
        assert_eq!(changed(|it| it.scheme = 7), SignatureError::Scheme(7));
        assert_eq!(changed(|it| it.bytes.clear()), SignatureError::Mismatch);
        let mut of_other = signature.clone();
        of_other.chain = other.sign(b"x").unwrap().chain;
        assert_eq!(one.verify(b"x", &of_other), Err(SignatureError::Mismatch));
    }

    #[test]
    fn sha256_of_parts_is_that_of_the_whole() {
        let hex: String = sha256([b"a".as_slice(), b"bc"])
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
