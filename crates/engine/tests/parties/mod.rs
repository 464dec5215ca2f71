//! Who talks to whom in the tests.

use std::sync::Arc;

use rmachine_pki::{
    Authority, CertifiedPem, ClientIdentity, KeyType, San, ServerRequest, client_config,
};

/// An authority, with what it issues to servers and clients.
pub struct Party {
    /// The authority.
    pub authority: Authority,
    /// Its certificate in PEM.
    pub ca: String,
}

impl Party {
    pub fn new() -> Self {
        let (authority, made) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        Self {
            authority,
            ca: made.certificate,
        }
    }

    /// A server's certificate, made out to that name or address.
    pub fn server(&self, name: &str) -> CertifiedPem {
        self.authority
            .issue_server(&ServerRequest {
                name: "n1".to_owned(),
                organization: "ann".to_owned(),
                sans: vec![San::from(name.to_owned())],
                client_auth: false,
                key: KeyType::Ecdsa,
            })
            .unwrap()
    }

    /// A client of this authority that trusts the servers of another.
    pub fn client(&self, trusts: &Party) -> Arc<rustls::ClientConfig> {
        let made = self.authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        client_config(&ClientIdentity {
            ca: trusts.ca.clone(),
            certificate: made.certificate,
            key: made.key,
        })
        .unwrap()
    }
}
