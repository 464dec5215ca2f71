//! Signs statements for this cluster, and decides which ones hold for a container.

use std::sync::Arc;

use rmachine_pki::{ManagerKey, PkiError, SignatureError};
use serde_json::Value;

use super::{SignedRequest, SignedStatement, Statement};

/// The key of this manager, for one cluster.
#[derive(Clone)]
pub struct Notary {
    key: Arc<ManagerKey>,
    cluster: Arc<str>,
}

/// Where a container with a statement was observed.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// ID that its engine reports.
    pub engine: &'a str,
    /// Address of the engine, which its TLS certificate proves.
    pub address: &'a str,
    /// Whether no other node reports this engine ID.
    pub is_unique: bool,
    /// Swarm ID in the container's labels.
    pub swarm_id: &'a str,
}

/// Why a container is not known to be created by a manager of this cluster.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unverified {
    /// The manager runs without `--tlsverify`.
    #[error("nothing can be verified without --tlsverify")]
    NoTls,
    /// The container has no statement.
    #[error("no manager signed its request")]
    NoStatement,
    /// Its label is not a statement.
    #[error("its statement is malformed")]
    Malformed,
    /// The signature is not a manager's.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The statement is about a container of another cluster.
    #[error("its statement is for another cluster")]
    OtherCluster,
    /// The statement is about a container of another node.
    #[error("its statement is for another node")]
    OtherNode,
    /// The statement is about a container with another swarm ID.
    #[error("its statement is for another container")]
    OtherContainer,
    /// The engine reports another environment than the one that was signed.
    #[error("its environment is not the one that was signed")]
    Environment,
    /// The manager that created it had no verified request itself.
    #[error("the container that it replaced was not verified")]
    NoRequest,
}

impl Unverified {
    /// Whether a statement is present and does not hold, as opposed to absent.
    pub fn is_suspicious(&self) -> bool {
        !matches!(self, Self::NoTls | Self::NoStatement | Self::NoRequest)
    }
}

impl Notary {
    /// Signs for a cluster, see [`cluster_id`](super::cluster_id).
    pub fn new(key: Arc<ManagerKey>, cluster: Arc<str>) -> Self {
        Self { key, cluster }
    }

    /// ID of the cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Signs a statement and returns the label's value.
    ///
    /// # Errors
    /// [`PkiError`] when the key cannot sign.
    pub fn sign(&self, statement: &Statement) -> Result<String, PkiError> {
        SignedStatement::sign(statement, &self.key)
    }

    /// Verifies that a manager of this cluster made a statement about a container.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn verify(
        &self,
        statement: &SignedStatement,
        holder: &Holder<'_>,
    ) -> Result<(), Unverified> {
        let head = statement.head();
        if *head.cluster != *self.cluster {
            return Err(Unverified::OtherCluster);
        }
        // Nodes name their engine ID themselves. Where two name the same one, the address decides.
        let is_address = holder.is_unique || head.address == holder.address;
        if head.engine.is_empty() || head.engine != holder.engine || !is_address {
            return Err(Unverified::OtherNode);
        }
        if head.swarm_id.is_empty() || head.swarm_id != holder.swarm_id {
            return Err(Unverified::OtherContainer);
        }
        Ok(statement.verify(&self.key)?)
    }

    /// Returns the verified request of a container, with the environment that its engine reports.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn request(
        &self,
        statement: &SignedStatement,
        holder: &Holder<'_>,
        reported_env: &Value,
    ) -> Result<Value, Unverified> {
        self.verify(statement, holder)?;
        let request: SignedRequest = statement.request().ok_or(Unverified::NoRequest)?;
        request
            .with_env(reported_env)
            .ok_or(Unverified::Environment)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rmachine_pki::{Authority, CertifiedPem, ClientIdentity, KeyType, San, ServerRequest};
    use serde_json::json;

    use super::*;
    use crate::statement::Predecessor;

    /// A CA whose managers sign.
    pub(crate) struct TestCa {
        authority: Authority,
        ca: CertifiedPem,
    }

    impl TestCa {
        pub(crate) fn new() -> Self {
            let (authority, ca) = Authority::create("lab", KeyType::Ecdsa).unwrap();
            Self { authority, ca }
        }

        fn request() -> ServerRequest {
            ServerRequest {
                name: "m".to_owned(),
                organization: "lab".to_owned(),
                sans: vec![San::from("127.0.0.1".to_owned())],
                client_auth: true,
                key: KeyType::Ecdsa,
            }
        }

        fn notary(&self, made: CertifiedPem, cluster: &str) -> Notary {
            let key = ManagerKey::new(&ClientIdentity {
                ca: self.ca.certificate.clone(),
                certificate: made.certificate,
                key: made.key,
            });
            Notary::new(Arc::new(key.unwrap()), cluster.into())
        }

        pub(crate) fn manager(&self, cluster: &str) -> Notary {
            let made = self.authority.issue_manager(&Self::request()).unwrap();
            self.notary(made, cluster)
        }

        fn engine(&self, cluster: &str) -> Notary {
            let made = self.authority.issue_server(&Self::request()).unwrap();
            self.notary(made, cluster)
        }
    }

    const HOLDER: Holder<'static> = Holder {
        engine: "ID-1",
        address: "10.0.0.1:2376",
        is_unique: true,
        swarm_id: "s1",
    };

    fn statement(cluster: &str) -> Statement {
        let body = json!({
            "Image": "nginx:1", "Env": ["A=b"],
            "HostConfig": {"Privileged": true, "Binds": ["/srv:/srv"]},
        });
        let mut statement = Statement::new(cluster, "s1", "ID-1", "10.0.0.1:2376", "web");
        statement.request = SignedRequest::of(body);
        statement.replaces = vec![Predecessor {
            id: "old".to_owned(),
            engine: "ID-2".to_owned(),
            lost_at: 7,
        }];
        statement
    }

    fn signed(notary: &Notary, statement: &Statement) -> SignedStatement {
        let label = notary.sign(statement).unwrap();
        SignedStatement::read(&label.as_str().into()).unwrap()
    }

    #[test]
    fn statement_of_another_manager_restores_the_request() {
        let ca = TestCa::new();
        let signed = signed(&ca.manager("c"), &statement("c"));
        let request = ca
            .manager("c")
            .request(&signed, &HOLDER, &json!(["A=b", "PATH=/bin"]));
        let expected = json!({
            "Image": "nginx:1",
            "HostConfig": {"Privileged": true, "Binds": ["/srv:/srv"]},
            "Env": ["A=b"],
        });
        assert_eq!(request, Ok(expected));
        assert_eq!(signed.replaces()[0].id, "old");
    }

    #[test]
    fn statement_holds_only_for_its_cluster_node_and_container() {
        let ca = TestCa::new();
        let signed = signed(&ca.manager("c"), &statement("c"));
        let verify = |cluster: &str, holder| ca.manager(cluster).verify(&signed, &holder);
        let moved = Holder {
            address: "10.0.0.9:2376",
            ..HOLDER
        };
        assert_eq!(verify("c", HOLDER), Ok(()));
        assert_eq!(verify("c", moved), Ok(()));
        for (cluster, holder, expected) in [
            ("d", HOLDER, Unverified::OtherCluster),
            (
                "c",
                Holder {
                    engine: "ID-2",
                    ..HOLDER
                },
                Unverified::OtherNode,
            ),
            (
                "c",
                Holder {
                    is_unique: false,
                    ..moved
                },
                Unverified::OtherNode,
            ),
            (
                "c",
                Holder {
                    swarm_id: "s2",
                    ..HOLDER
                },
                Unverified::OtherContainer,
            ),
        ] {
            assert_eq!(verify(cluster, holder), Err(expected), "{holder:?}");
        }
        // Two nodes report the ID: the one at the signed address has the container.
        let twin = Holder {
            is_unique: false,
            ..HOLDER
        };
        assert_eq!(verify("c", twin), Ok(()));
    }

    #[test]
    fn statement_of_an_engine_or_a_stranger_is_unverified() {
        let ca = TestCa::new();
        let verify = |signed: &SignedStatement| ca.manager("c").verify(signed, &HOLDER);
        let by_engine = signed(&ca.engine("c"), &statement("c"));
        assert_eq!(
            verify(&by_engine),
            Err(Unverified::Signature(SignatureError::NotAManager))
        );
        let by_stranger = signed(&TestCa::new().manager("c"), &statement("c"));
        assert!(matches!(
            verify(&by_stranger),
            Err(Unverified::Signature(SignatureError::Certificate(_)))
        ));
    }

    #[test]
    fn statement_with_changed_content_is_unverified() {
        let ca = TestCa::new();
        let label = ca.manager("c").sign(&statement("c")).unwrap();
        let changed = label.replace("nginx:1", "nginx:2");
        assert_ne!(label, changed);
        let changed = SignedStatement::read(&changed.as_str().into()).unwrap();
        let notary = ca.manager("c");
        assert_eq!(
            notary.request(&changed, &HOLDER, &json!(["A=b"])),
            Err(Unverified::Signature(SignatureError::Mismatch))
        );
        let original = SignedStatement::read(&label.as_str().into()).unwrap();
        assert_eq!(
            notary.request(&original, &HOLDER, &json!(["A=c"])),
            Err(Unverified::Environment)
        );
    }

    #[test]
    fn statement_without_request_proves_only_what_it_replaces() {
        let ca = TestCa::new();
        let notary = ca.manager("c");
        let mut without = statement("c");
        without.request = None;
        let signed = signed(&notary, &without);
        assert_eq!(notary.verify(&signed, &HOLDER), Ok(()));
        assert_eq!(
            notary.request(&signed, &HOLDER, &json!([])),
            Err(Unverified::NoRequest)
        );
    }
}
