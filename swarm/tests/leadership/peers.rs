//! Certificates of a cluster's members, and requests with them.

use std::sync::Arc;
use std::time::Instant;

use rmachine_pki::{
    Authority, CertifiedPem, ClientIdentity, KeyType, San, ServerIdentity, ServerRequest,
    client_config,
};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::LIMIT;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Manager,
    /// A server's and a client's, without a purpose.
    Engine,
    Client,
}

/// A CA, and the files of its certificates.
pub struct Party {
    authority: Authority,
    ca: String,
    dir: TempDir,
}

impl Party {
    pub fn new() -> Self {
        let (authority, ca) = Authority::create("lab", KeyType::Ecdsa).unwrap();
        Self {
            authority,
            ca: ca.certificate,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn issue(&self, kind: Kind) -> CertifiedPem {
        let request = request("member", &["127.0.0.1"]);
        let issued = match kind {
            Kind::Manager => self.authority.issue_manager(&request),
            Kind::Engine => self.authority.issue_server(&request),
            Kind::Client => self.authority.issue_client("lab", KeyType::Ecdsa),
        };
        issued.unwrap()
    }

    pub fn agent(&self, name: &str, sans: &[&str]) -> CertifiedPem {
        self.authority.issue_agent(&request(name, sans)).unwrap()
    }

    /// A server with a certificate of this kind.
    pub fn server(&self, kind: Kind) -> ServerIdentity {
        let issued = self.issue(kind);
        ServerIdentity {
            ca: Some(self.ca.clone()),
            certificate: issued.certificate,
            key: issued.key,
            admits_agents: false,
        }
    }

    /// The flags of a manager with a certificate of this kind.
    pub fn flags(&self, kind: Kind) -> Vec<String> {
        let issued = self.issue(kind);
        let file = |name: &str, content: &str| {
            let path = self.dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        vec![
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", file("ca.pem", &self.ca)),
            format!("--tlscert={}", file("cert.pem", &issued.certificate)),
            format!("--tlskey={}", file("key.pem", issued.key.expose())),
        ]
    }

    pub async fn ask(&self, port: u16, kind: Kind, request: &str) -> String {
        self.ask_with(port, &self.issue(kind), request).await
    }

    /// Sends a request over TLS, and reads to the end of the connection. Waits for the server to
    /// listen.
    pub async fn ask_with(&self, port: u16, own: &CertifiedPem, request: &str) -> String {
        let config = client_config(&ClientIdentity {
            ca: self.ca.clone(),
            certificate: own.certificate.clone(),
            key: own.key.clone(),
        });
        let connector = TlsConnector::from(Arc::clone(&config.unwrap()));
        let end = Instant::now() + LIMIT;
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut answer = Vec::new();
        let asking = async {
            let mut stream = connector.connect(name, stream).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut answer).await
        };
        let asked = tokio::time::timeout(LIMIT, asking).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(asked.is_ok(), "no end: {answer}");
        answer
    }
}

fn request(name: &str, sans: &[&str]) -> ServerRequest {
    ServerRequest {
        name: name.to_owned(),
        organization: "lab".to_owned(),
        sans: sans
            .iter()
            .map(|san| San::from((*san).to_owned()))
            .collect(),
        client_auth: true,
        key: KeyType::Ecdsa,
    }
}
