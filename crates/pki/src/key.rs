use std::fmt;
use std::str::FromStr;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

use crate::PkiError;

/// The kind of a private key that is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyType {
    /// ECDSA on P-256: made at once, understood by every engine since 1.10.
    #[default]
    Ecdsa,
    /// RSA with 2048 bits, as docker-machine made them.
    Rsa,
}

impl KeyType {
    /// Every kind, as it is typed.
    pub const NAMES: [&'static str; 2] = ["ecdsa", "rsa"];

    pub(crate) fn generate(self) -> Result<KeyPair, PkiError> {
        match self {
            Self::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
        .map_err(PkiError::Generation)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        })
    }
}

impl FromStr for KeyType {
    type Err = InvalidKeyType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ecdsa" => Ok(Self::Ecdsa),
            "rsa" => Ok(Self::Rsa),
            _ => Err(InvalidKeyType(text.to_owned())),
        }
    }
}

/// The text names no kind of private key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a key type: ecdsa or rsa")]
pub struct InvalidKeyType(pub String);

/// A private key in PEM. `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct PrivateKeyPem(String);

impl PrivateKeyPem {
    /// The PEM text, for the one place that must write or send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for PrivateKeyPem {
    fn from(pem: String) -> Self {
        Self(pem)
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(…)")
    }
}

/// A certificate and its private key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertifiedPem {
    /// The certificate in PEM.
    pub certificate: String,
    /// The private key in PEM, PKCS#8.
    pub key: PrivateKeyPem,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_shown() {
        for name in KeyType::NAMES {
            assert_eq!(name.parse::<KeyType>().unwrap().to_string(), name);
        }
        assert!("dsa".parse::<KeyType>().is_err());
    }

    #[test]
    fn debug_shows_no_private_key() {
        let made = CertifiedPem {
            certificate: "shown".to_owned(),
            key: PrivateKeyPem::from("hidden".to_owned()),
        };
        let text = format!("{made:?}");
        assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
    }
}
