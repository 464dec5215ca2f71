//! Certificate authority, certificates, chains, expiry.
//!
//! Everything here works on PEM texts that are handed in and out: this crate reads no file, opens
//! no connection and knows no machine. It is also the one place that chooses the crypto provider.
//! Start reading at [`Authority`].

mod authority;
mod chain;
mod error;
mod info;
mod key;
mod purpose;
mod san;
mod signature;
mod tls;

pub use authority::{Authority, ServerRequest};
pub use chain::{key_matches, verify_chain};
pub use error::PkiError;
pub use info::CertificateInfo;
pub use key::{CertifiedPem, InvalidKeyType, KeyType, PrivateKeyPem};
pub use purpose::{Purpose, is_agent};
pub use san::San;
pub use signature::{ManagerKey, Signature, SignatureError, sha256};
pub use tls::{
    ClientIdentity, ServerIdentity, client_config, crypto_provider, server_config,
    unverified_client_config,
};
