//! Signed statements of managers about the containers that they create.
//!
//! A lost container is recreated from what a manager wrote, not from what an engine reports: the
//! manager that creates a container to be rescheduled signs its request and stores both in
//! [`STATEMENT_LABEL`]. Every manager of the same CA can verify it. The environment may hold secrets
//! and labels are shown in lists and events, so a statement has only a salted digest of it; the
//! entries themselves come from the engine that has the container. Start reading at [`Notary`].

mod cluster_id;
mod notary;
mod signed;

pub use cluster_id::{ClusterIdError, cluster_id};
pub use notary::{Holder, Notary, Unverified};
pub use signed::{MalformedStatement, SignedStatement};

use rmachine_pki::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Prefix of labels that only managers set. They are removed from what clients send.
pub const RESERVED_PREFIX: &str = "io.rmachine.rswarm.";

/// Label with the signed statement of a container.
pub const STATEMENT_LABEL: &str = "io.rmachine.rswarm.statement";

/// Largest create request that is signed, in bytes of JSON without the environment.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Most earlier containers that a statement names: the last one, and those before it.
pub const MAX_PREDECESSORS: usize = 8;

/// Format of statements that this version writes and reads.
const VERSION: u32 = 1;

/// What a manager states about a container that it creates.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Statement {
    /// Format, [`VERSION`].
    pub version: u32,
    /// Cluster, see [`cluster_id`].
    pub cluster: String,
    /// Swarm ID of the container.
    pub swarm_id: String,
    /// ID of the engine that creates it.
    pub engine: String,
    /// Address of that engine, `host:port`.
    pub address: String,
    /// Requested name; empty where the engine chooses one.
    pub name: String,
    /// Containers that it replaces, the last one first.
    pub replaces: Vec<Predecessor>,
    /// What was requested. `None` where the manager could not verify it itself: such a statement
    /// proves only what the container replaces.
    pub request: Option<SignedRequest>,
}

/// Container that another one replaces.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Predecessor {
    /// Container ID.
    pub id: String,
    /// ID of the engine that had it.
    pub engine: String,
    /// When the manager lost that engine, in seconds since the Unix epoch by the manager's clock.
    pub lost_at: i64,
}

/// Create request of a client.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SignedRequest {
    /// Its body without the environment, and before anything is adapted to the engine.
    pub body: Value,
    /// Digest of the environment.
    pub env: EnvDigest,
}

/// Salted digest of the environment that a client requested.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EnvDigest {
    /// Number of entries.
    pub entries: usize,
    /// Random salt, in hexadecimal digits.
    pub salt: String,
    /// SHA-256 over the salt and the entries, in hexadecimal digits.
    pub sha256: String,
}

impl Statement {
    /// An empty statement about a container.
    pub fn new(cluster: &str, swarm_id: &str, engine: &str, address: &str, name: &str) -> Self {
        Self {
            version: VERSION,
            cluster: cluster.to_owned(),
            swarm_id: swarm_id.to_owned(),
            engine: engine.to_owned(),
            address: address.to_owned(),
            name: name.to_owned(),
            replaces: Vec::new(),
            request: None,
        }
    }
}

impl SignedRequest {
    /// Splits a create request into what is stated and the digest of its environment. `None` if it
    /// is larger than [`MAX_REQUEST`].
    pub fn of(mut body: Value) -> Option<Self> {
        let env = body
            .as_object_mut()
            .and_then(|body| body.shift_remove("Env"))
            .unwrap_or_default();
        let is_small = serde_json::to_vec(&body).is_ok_and(|json| json.len() <= MAX_REQUEST);
        is_small.then(|| Self {
            body,
            env: EnvDigest::of(entries(&env), rand::random()),
        })
    }

    /// The request with the environment that the container's engine reports. Engines keep the
    /// client's entries first and append those of the image. `None` if the client's entries are not
    /// the ones that were signed.
    pub fn with_env(&self, reported: &Value) -> Option<Value> {
        let reported = entries(reported).get(..self.env.entries)?;
        if !self.env.matches(reported) {
            return None;
        }
        let mut body = self.body.clone();
        if !reported.is_empty() {
            let body = body.as_object_mut()?;
            body.insert("Env".to_owned(), Value::Array(reported.to_vec()));
        }
        Some(body)
    }
}

impl EnvDigest {
    fn of(entries: &[Value], salt: [u8; 16]) -> Self {
        let salt = hex(&salt);
        Self {
            entries: entries.len(),
            sha256: digest(&salt, entries),
            salt,
        }
    }

    fn matches(&self, entries: &[Value]) -> bool {
        entries.len() == self.entries && digest(&self.salt, entries) == self.sha256
    }
}

fn entries(env: &Value) -> &[Value] {
    env.as_array().map_or(&[], Vec::as_slice)
}

/// Every entry is preceded by its length, so that no two lists have the same digest.
fn digest(salt: &str, entries: &[Value]) -> String {
    let entries: Vec<&str> = entries.iter().map(|it| it.as_str().unwrap_or("")).collect();
    let lengths: Vec<_> = entries.iter().map(|it| it.len().to_be_bytes()).collect();
    let parts = lengths
        .iter()
        .zip(&entries)
        .flat_map(|(length, entry)| [length.as_slice(), entry.as_bytes()]);
    hex(&sha256(std::iter::once(salt.as_bytes()).chain(parts)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn request_has_no_environment() {
        let body = json!({"Image": "x", "Env": ["PASSWORD=secret"], "Cmd": ["y"]});
        let request = SignedRequest::of(body).unwrap();
        assert_eq!(request.body, json!({"Image": "x", "Cmd": ["y"]}));
        let text = serde_json::to_string(&request).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn environment_is_restored_from_matching_prefix_only() {
        let body = json!({"Image": "x", "Env": ["A=b", "C=d"]});
        let request = SignedRequest::of(body.clone()).unwrap();
        for (reported, is_accepted) in [
            (json!(["A=b", "C=d"]), true),
            (json!(["A=b", "C=d", "PATH=/bin"]), true),
            (json!(["A=b"]), false),
            (json!(["C=d", "A=b"]), false),
            (json!(["A=b", "C=e"]), false),
            (json!(["A=bC=d", ""]), false),
            (json!(["LD_PRELOAD=x", "A=b", "C=d"]), false),
            (json!([1, 2]), false),
            (json!(null), false),
            (json!("A=b"), false),
        ] {
            let restored = request.with_env(&reported);
            assert_eq!(restored.is_some(), is_accepted, "{reported}");
            assert!(restored.is_none_or(|restored| restored == body));
        }
    }

    #[test]
    fn request_without_environment_ignores_the_images() {
        let request = SignedRequest::of(json!({"Image": "x", "Env": null})).unwrap();
        let restored = request.with_env(&json!(["PATH=/bin"]));
        assert_eq!(restored, Some(json!({"Image": "x"})));
    }

    #[test]
    fn request_that_is_too_large_is_not_signed() {
        let body = |length| json!({"Image": "x".repeat(length)});
        assert!(SignedRequest::of(body(MAX_REQUEST)).is_none());
        assert!(SignedRequest::of(body(MAX_REQUEST - 100)).is_some());
    }
}
