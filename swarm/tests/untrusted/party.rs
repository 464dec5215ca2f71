//! One CA with its engines, managers and a client.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rmachine_pki::{
    Authority, CertifiedPem, ClientIdentity, KeyType, ManagerKey, San, ServerIdentity,
    ServerRequest, client_config, server_config,
};
use rustls::{ClientConfig, ServerConfig};
use tempfile::TempDir;

/// A CA with the files of what it issued.
pub struct Party {
    authority: Authority,
    ca: String,
    dir: TempDir,
}

impl Party {
    pub fn new() -> Self {
        let (authority, made) = Authority::create("lab", KeyType::Ecdsa).unwrap();
        let party = Self {
            authority,
            ca: made.certificate,
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(party.file("ca.pem"), &party.ca).unwrap();
        party
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn request() -> ServerRequest {
        ServerRequest {
            name: "localhost".to_owned(),
            organization: "lab".to_owned(),
            sans: vec![San::from("127.0.0.1".to_owned())],
            client_auth: true,
            key: KeyType::Ecdsa,
        }
    }

    /// A new certificate of an engine.
    pub fn engine(&self) -> CertifiedPem {
        self.authority.issue_server(&Self::request()).unwrap()
    }

    /// A new certificate of a manager.
    pub fn manager(&self) -> CertifiedPem {
        self.authority.issue_manager(&Self::request()).unwrap()
    }

    /// TLS of an engine.
    pub fn engine_tls(&self) -> Arc<ServerConfig> {
        let made = self.engine();
        server_config(&ServerIdentity {
            ca: Some(self.ca.clone()),
            certificate: made.certificate,
            key: made.key,
            admits_agents: false,
        })
        .unwrap()
    }

    /// TLS of a client.
    pub fn client_tls(&self) -> Arc<ClientConfig> {
        let made = self.authority.issue_client("lab", KeyType::Ecdsa).unwrap();
        client_config(&self.identity(made)).unwrap()
    }

    /// A key that signs with a certificate.
    pub fn key(&self, made: CertifiedPem) -> Arc<ManagerKey> {
        Arc::new(ManagerKey::new(&self.identity(made)).unwrap())
    }

    fn identity(&self, made: CertifiedPem) -> ClientIdentity {
        ClientIdentity {
            ca: self.ca.clone(),
            certificate: made.certificate,
            key: made.key,
        }
    }
}
