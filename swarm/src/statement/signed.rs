//! A statement as its label holds it: `SCHEME.SIGNATURE.CERTIFICATE[,CERTIFICATE].STATEMENT`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use rmachine_pki::{ManagerKey, PkiError, Signature, SignatureError};
use serde::Deserialize;

use super::{MAX_PREDECESSORS, Predecessor, SignedRequest, Statement, VERSION};

/// Longest label that is read, in bytes.
const MAX_LABEL: usize = 256 * 1024;

/// How long the result of a verification is used: certificates expire.
const VERIFICATION_AGE: Duration = Duration::from_secs(60);

/// A statement with its signature, which may or may not be a manager's.
pub struct SignedStatement {
    label: Arc<str>,
    /// Where the statement itself starts in the label.
    starts_at: usize,
    signature: Signature,
    head: Head,
    verified: Mutex<Option<Verification>>,
}

/// What decides whether a statement is about a container. The request is read when it is needed.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) cluster: String,
    pub(super) swarm_id: String,
    pub(super) engine: String,
    pub(super) address: String,
    pub(super) name: String,
    pub(super) replaces: Vec<Predecessor>,
}

/// Result of a verification, and the key that it was made with.
struct Verification {
    key: Arc<ManagerKey>,
    at: Instant,
    result: Result<(), SignatureError>,
}

/// Why a label is not a statement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedStatement {
    /// It is longer than any manager writes.
    #[error("{0} bytes, expected at most {MAX_LABEL}")]
    TooLong(usize),
    /// A part is missing or is not encoded as expected.
    #[error("invalid {0}")]
    Part(&'static str),
    /// A newer manager wrote it.
    #[error("unsupported version {0}, expected {VERSION}")]
    Version(u32),
    /// It names more containers than any manager writes.
    #[error("{0} replaced containers, expected at most {MAX_PREDECESSORS}")]
    Predecessors(usize),
}

impl SignedStatement {
    /// Signs a statement and returns the label's value.
    ///
    /// # Errors
    /// [`PkiError`] when the key cannot sign.
    pub fn sign(statement: &Statement, key: &ManagerKey) -> Result<String, PkiError> {
        let content = serde_json::to_string(statement).unwrap_or_default();
        let signature = key.sign(content.as_bytes())?;
        let chain = signature.chain.iter().map(|der| BASE64.encode(der));
        Ok(format!(
            "{:04x}.{}.{}.{content}",
            signature.scheme,
            BASE64.encode(&signature.bytes),
            chain.collect::<Vec<_>>().join(",")
        ))
    }

    /// Reads a label's value. The signature is not verified.
    ///
    /// # Errors
    /// [`MalformedStatement`].
    pub fn read(label: &Arc<str>) -> Result<Self, MalformedStatement> {
        use MalformedStatement::{Part, Predecessors, TooLong, Version};
        if label.len() > MAX_LABEL {
            return Err(TooLong(label.len()));
        }
        let mut parts = label.splitn(4, '.');
        let mut next = |what| parts.next().ok_or(Part(what));
        let (scheme, bytes) = (next("signature scheme")?, next("signature")?);
        let (chain, content) = (next("certificate")?, next("statement")?);
        let decode = |text: &str, what| BASE64.decode(text).map_err(|_| Part(what));
        let chain: Result<Vec<_>, _> = chain
            .split(',')
            .map(|der| decode(der, "certificate"))
            .collect();
        let signature = Signature {
            scheme: u16::from_str_radix(scheme, 16).map_err(|_| Part("signature scheme"))?,
            bytes: decode(bytes, "signature")?,
            chain: chain?,
        };
        let head: Head = serde_json::from_str(content).map_err(|_| Part("statement"))?;
        if head.version != VERSION {
            return Err(Version(head.version));
        }
        if head.replaces.len() > MAX_PREDECESSORS {
            return Err(Predecessors(head.replaces.len()));
        }
        Ok(Self {
            starts_at: label.len() - content.len(),
            label: Arc::clone(label),
            signature,
            head,
            verified: Mutex::new(None),
        })
    }

    /// Value of the label.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Name that the container was created with. Not verified.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Containers that it claims to replace. Not verified.
    pub fn replaces(&self) -> &[Predecessor] {
        &self.head.replaces
    }

    /// The signed request. Not verified.
    pub(super) fn request(&self) -> Option<SignedRequest> {
        let content = self.label.get(self.starts_at..)?;
        let statement: Statement = serde_json::from_str(content).ok()?;
        statement.request
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Verifies the signature; a recent result for the same key is reused.
    pub(super) fn verify(&self, key: &Arc<ManagerKey>) -> Result<(), SignatureError> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*verified
            && Arc::ptr_eq(&before.key, key)
            && before.at.elapsed() < VERIFICATION_AGE
        {
            return before.result.clone();
        }
        let content = self.label.get(self.starts_at..).unwrap_or_default();
        let result = key.verify(content.as_bytes(), &self.signature);
        *verified = Some(Verification {
            key: Arc::clone(key),
            at: Instant::now(),
            result: result.clone(),
        });
        result
    }
}

impl fmt::Debug for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedStatement").field(&self.head).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_that_is_not_a_statement_is_rejected() {
        use MalformedStatement::{Part, Predecessors, TooLong, Version};
        let head = |version: u32, replaces: usize| {
            let before = serde_json::json!({"id": "a", "engine": "b", "lost_at": 0});
            serde_json::json!({
                "version": version, "cluster": "c", "swarm_id": "s", "engine": "e",
                "address": "a", "name": "n", "replaces": vec![before; replaces],
            })
        };
        for (label, expected) in [
            (String::new(), Part("signature")),
            ("0403.AA.AA".to_owned(), Part("statement")),
            ("x.AA.AA.{}".to_owned(), Part("signature scheme")),
            ("0403.!.AA.{}".to_owned(), Part("signature")),
            ("0403.AA.!.{}".to_owned(), Part("certificate")),
            ("0403.AA.AA.{}".to_owned(), Part("statement")),
            ("0403.AA.AA.[]".to_owned(), Part("statement")),
            (format!("0403.AA.AA.{}", head(2, 0)), Version(2)),
            (format!("0403.AA.AA.{}", head(1, 9)), Predecessors(9)),
            ("x".repeat(MAX_LABEL + 1), TooLong(MAX_LABEL + 1)),
        ] {
            let error = SignedStatement::read(&label.as_str().into()).unwrap_err();
            assert_eq!(error, expected);
        }
        let label = format!("0403.AA.AA.{}", head(1, 8));
        assert!(SignedStatement::read(&label.as_str().into()).is_ok());
    }
}
