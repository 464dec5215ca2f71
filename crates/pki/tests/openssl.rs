//! Against OpenSSL: an authority as docker-machine made it, and what others say of our chains.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rmachine_pki::{
    Authority, CertificateInfo, CertifiedPem, ClientIdentity, KeyType, PkiError, San,
    ServerRequest, client_config, crypto_provider, verify_chain,
};
use rmachine_test_support::skip;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tempfile::TempDir;
use time::OffsetDateTime;

/// A directory in which `openssl` works; `None` where there is no such program.
struct Openssl(TempDir);

impl Openssl {
    fn find() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skip("there is no openssl program");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn run(&self, line: &str) -> String {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Makes `ca.pem` and `ca-key.pem` as docker-machine does: no common name, no key identifier,
    /// RSA, the key in PKCS#1.
    fn docker_machine_ca(&self) {
        self.run("genrsa -traditional -out ca-key.pem 2048");
        assert!(self.read("ca-key.pem").contains("BEGIN RSA PRIVATE KEY"));
        self.run(
            "req -x509 -new -key ca-key.pem -days 1080 -subj /O=ann -out ca.pem \
             -addext subjectKeyIdentifier=none -addext authorityKeyIdentifier=none \
             -addext keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement,keyCertSign",
        );
    }

    /// Makes `NAME.pem` and `NAME-key.pem`, issued by that authority as docker-machine does: no
    /// common name either.
    fn docker_machine_leaf(&self, name: &str, extensions: &str) -> CertifiedPem {
        self.write("extensions", extensions);
        self.run(&format!(
            "req -new -newkey rsa:2048 -nodes -keyout {name}-key.pem -subj /O=ann.{name} \
             -out request"
        ));
        self.run(&format!(
            "x509 -req -in request -CA ca.pem -CAkey ca-key.pem -days 1080 -extfile extensions \
             -out {name}.pem"
        ));
        CertifiedPem {
            certificate: self.read(&format!("{name}.pem")),
            key: self.read(&format!("{name}-key.pem")).into(),
        }
    }
}

fn server(authority: &Authority, key: KeyType) -> CertifiedPem {
    let request = ServerRequest {
        name: "n1".to_owned(),
        organization: "ann.n1".to_owned(),
        sans: vec![San::from("10.0.0.1".to_owned())],
        client_auth: false,
        key,
    };
    authority.issue_server(&request).unwrap()
}

/// Lets both sides of mutual TLS talk in memory, the client as this crate sets it up.
fn handshake(ca: &str, server: &CertifiedPem, client: &CertifiedPem) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider());
    let own = CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(server.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![own], key)
        .unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let config = client_config(&ClientIdentity {
        ca: ca.to_owned(),
        certificate: client.certificate.clone(),
        key: client.key.clone(),
    });
    let name = ServerName::try_from("10.0.0.1").unwrap();
    let mut client = ClientConnection::new(config.unwrap(), name).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn goes_on_with_an_authority_of_docker_machine() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.docker_machine_ca();
    let ca = openssl.read("ca.pem");
    let info = CertificateInfo::read(&ca).unwrap();
    assert_eq!((info.subject.as_str(), info.is_authority), ("O=ann", true));
    openssl.run("pkcs8 -topk8 -nocrypt -in ca-key.pem -out pkcs8.pem");
    for key in ["ca-key.pem", "pkcs8.pem"] {
        let authority = Authority::load(&ca, &openssl.read(key)).unwrap();
        for kind in [KeyType::Ecdsa, KeyType::Rsa] {
            let server = server(&authority, kind);
            let client = authority.issue_client("ann.client", kind).unwrap();
            verify_chain(&server.certificate, &ca, OffsetDateTime::now_utc()).unwrap();
            openssl.write("server.pem", &server.certificate);
            openssl.write("client.pem", &client.certificate);
            openssl.run("verify -purpose sslserver -verify_ip 10.0.0.1 -CAfile ca.pem server.pem");
            openssl.run("verify -purpose sslclient -CAfile ca.pem client.pem");
            handshake(&ca, &server, &client).unwrap();
        }
    }
}

#[test]
fn leaves_of_docker_machine_stay_good() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.docker_machine_ca();
    let ca = openssl.read("ca.pem");
    let server = openssl.docker_machine_leaf(
        "n1",
        "keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement\n\
         extendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n\
         subjectAltName=DNS:localhost,IP:10.0.0.1\n",
    );
    let client = openssl.docker_machine_leaf(
        "client",
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n\
         basicConstraints=critical,CA:FALSE\n",
    );
    let info = CertificateInfo::read(&server.certificate).unwrap();
    let sans = ["10.0.0.1", "localhost"].map(|san| San::from(san.to_owned()));
    assert!(info.covers(&sans) && info.server_auth && !info.client_auth);
    for leaf in [&server, &client] {
        verify_chain(&leaf.certificate, &ca, OffsetDateTime::now_utc()).unwrap();
    }
    handshake(&ca, &server, &client).unwrap();
    assert!(handshake(&ca, &client, &client).is_err());
}

#[test]
fn reads_a_key_in_sec1() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.run("ecparam -name prime256v1 -genkey -noout -out ca-key.pem");
    assert!(openssl.read("ca-key.pem").contains("BEGIN EC PRIVATE KEY"));
    openssl.run("req -x509 -new -key ca-key.pem -days 2 -subj /CN=own -out ca.pem");
    let ca = openssl.read("ca.pem");
    let authority = Authority::load(&ca, &openssl.read("ca-key.pem")).unwrap();
    let made = server(&authority, KeyType::Ecdsa);
    verify_chain(&made.certificate, &ca, OffsetDateTime::now_utc()).unwrap();
}

#[test]
fn refuses_what_may_not_issue() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.run("genrsa -out key.pem 2048");
    let key = openssl.read("key.pem");
    for extensions in [
        "-addext basicConstraints=critical,CA:FALSE",
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=digitalSignature",
    ] {
        // Without a configuration of its own, openssl adds none of its extensions.
        openssl.write("empty.cnf", "[req]\ndistinguished_name=name\n[name]\n");
        openssl.run(&format!(
            "req -config empty.cnf -x509 -new -key key.pem -subj /O=ann -out ca.pem {extensions}"
        ));
        let refused = Authority::load(&openssl.read("ca.pem"), &key).err();
        assert!(
            matches!(refused, Some(PkiError::NotAnAuthority { .. })),
            "{extensions}: {refused:?}"
        );
    }
}

#[test]
fn a_certificate_without_purposes_serves_all() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.docker_machine_ca();
    let made = openssl.docker_machine_leaf("n1", "basicConstraints=critical,CA:FALSE\n");
    let info = CertificateInfo::read(&made.certificate).unwrap();
    assert!(info.client_auth && info.server_auth && !info.is_authority);
}

#[test]
fn a_key_behind_a_passphrase_is_refused() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    openssl.docker_machine_ca();
    let ca = openssl.read("ca.pem");
    openssl.run("pkcs8 -topk8 -in ca-key.pem -passout pass:secret -out locked.pem");
    let refused = Authority::load(&ca, &openssl.read("locked.pem")).err();
    assert!(matches!(refused, Some(PkiError::NoKey(_))), "{refused:?}");
}

#[test]
fn openssl_accepts_our_chains() {
    let Some(openssl) = Openssl::find() else {
        return;
    };
    for key in [KeyType::Ecdsa, KeyType::Rsa] {
        let (authority, ca) = Authority::create("ann", key).unwrap();
        let client = authority.issue_client("ann", key).unwrap();
        let server = server(&authority, key);
        openssl.write("ca.pem", &ca.certificate);
        openssl.write("client.pem", &client.certificate);
        openssl.write("server.pem", &server.certificate);
        let verify = "verify -x509_strict -CAfile ca.pem";
        openssl.run(&format!("{verify} -purpose sslclient client.pem"));
        openssl.run(&format!(
            "{verify} -purpose sslserver -verify_ip 10.0.0.1 server.pem"
        ));
        handshake(&ca.certificate, &server, &client).unwrap();
    }
}
