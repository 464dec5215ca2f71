//! Against OpenSSL: an authority as docker-machine made it, and what others say of our chains.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::path::Path;
use std::process::Command;

use rmachine_pki::{Authority, KeyType, San, ServerRequest, verify_chain};
use time::OffsetDateTime;

fn openssl(dir: &Path, line: &str) -> Option<String> {
    let output = Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(dir)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "openssl {line}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes `ca.pem` and `ca-key.pem`: no common name, RSA, and the key in the given format.
fn authority(dir: &Path, format: &str) -> Option<(String, String)> {
    openssl(dir, "genrsa -traditional -out pkcs1.pem 2048")?;
    openssl(
        dir,
        "req -x509 -new -key pkcs1.pem -days 1080 -subj /O=ann -out ca.pem \
         -addext keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement,keyCertSign",
    )?;
    match format {
        "pkcs1" => openssl(dir, "rsa -traditional -in pkcs1.pem -out ca-key.pem")?,
        _ => openssl(dir, "pkcs8 -topk8 -nocrypt -in pkcs1.pem -out ca-key.pem")?,
    };
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    Some((read("ca.pem"), read("ca-key.pem")))
}

#[test]
fn goes_on_with_an_authority_of_docker_machine() {
    for format in ["pkcs1", "pkcs8"] {
        let dir = tempfile::tempdir().unwrap();
        let Some((ca, ca_key)) = authority(dir.path(), format) else {
            println!("skipped: there is no openssl program");
            return;
        };
        let authority = Authority::load(&ca, &ca_key).unwrap();
        let server = authority
            .issue_server(&ServerRequest {
                name: "n1".to_owned(),
                organization: "ann.n1".to_owned(),
                sans: vec![San::from("10.0.0.1".to_owned())],
                client_auth: false,
                key: KeyType::Ecdsa,
            })
            .unwrap();
        verify_chain(&server.certificate, &ca, OffsetDateTime::now_utc()).unwrap();
        std::fs::write(dir.path().join("server.pem"), &server.certificate).unwrap();
        openssl(
            dir.path(),
            "verify -x509_strict -purpose sslserver -verify_ip 10.0.0.1 -CAfile ca.pem server.pem",
        );
    }
}

#[test]
fn openssl_accepts_our_chains() {
    let dir = tempfile::tempdir().unwrap();
    if openssl(dir.path(), "version").is_none() {
        println!("skipped: there is no openssl program");
        return;
    }
    for key in [KeyType::Ecdsa, KeyType::Rsa] {
        let (authority, ca) = Authority::create("ann", key).unwrap();
        let client = authority.issue_client("ann", key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), &ca.certificate).unwrap();
        std::fs::write(dir.path().join("client.pem"), &client.certificate).unwrap();
        openssl(
            dir.path(),
            "verify -x509_strict -purpose sslclient -CAfile ca.pem client.pem",
        );
    }
}
