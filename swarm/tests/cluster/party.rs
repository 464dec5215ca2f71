use std::fs;
use std::path::{Path, PathBuf};

use rmachine_pki::{Authority, CertifiedPem, KeyType, San, ServerRequest};
use tempfile::TempDir;

/// One authority for all: engines, managers and the person who asks them.
pub struct Party {
    authority: Authority,
    ca: String,
    dir: TempDir,
}

impl Party {
    /// A new authority, with the certificates of a client and of a manager on the loopback.
    pub fn new() -> Self {
        let (authority, made) = Authority::create("lab", KeyType::Ecdsa).unwrap();
        let party = Self {
            authority,
            ca: made.certificate,
            dir: tempfile::tempdir().unwrap(),
        };
        let client = party.authority.issue_client("lab", KeyType::Ecdsa).unwrap();
        party.keep("client", &client);
        party.keep("manager", &party.server("manager", "127.0.0.1", true));
        party
    }

    /// A server's certificate. A manager's is a client's, too: it shows it to engines.
    pub fn server(&self, name: &str, address: &str, client_auth: bool) -> CertifiedPem {
        self.authority
            .issue_server(&ServerRequest {
                name: name.to_owned(),
                organization: "lab".to_owned(),
                sans: vec![San::from(name.to_owned()), San::from(address.to_owned())],
                client_auth,
                key: KeyType::Ecdsa,
            })
            .unwrap()
    }

    /// The authority's certificate.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The directory with `ca.pem`, `cert.pem` and `key.pem` of `client` or `manager`.
    pub fn files(&self, whose: &str) -> PathBuf {
        self.dir.path().join(whose)
    }

    fn keep(&self, whose: &str, made: &CertifiedPem) {
        let dir = self.files(whose);
        fs::create_dir(&dir).unwrap();
        write(&dir, "ca.pem", &self.ca);
        write(&dir, "cert.pem", &made.certificate);
        write(&dir, "key.pem", made.key.expose());
    }
}

fn write(dir: &Path, name: &str, content: &str) {
    fs::write(dir.join(name), content).unwrap();
}
