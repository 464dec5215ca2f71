//! A server that answers `/_ping` and `/version` as an engine does, behind mutual TLS or on a
//! socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rmachine_pki::{Authority, CertifiedPem, KeyType, San, ServerRequest, crypto_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const VERSION: &str = r#"{"Version":"26.1.5","ApiVersion":"1.45","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64"}"#;

/// Serves on a free port of 127.0.0.1, with a certificate for this address; returns the port.
pub fn over_tls(authority: &Authority, ca: &CertifiedPem, covers: &str) -> u16 {
    let server = authority
        .issue_server(&ServerRequest {
            name: "n1".to_owned(),
            organization: "me".to_owned(),
            sans: vec![San::from(covers.to_owned())],
            client_auth: false,
            key: KeyType::Ecdsa,
        })
        .unwrap();
    let config = Arc::new(config(&server, ca));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                answer(StreamOwned::new(connection, stream), VERSION);
            });
        }
    });
    port
}

/// Serves on a socket.
pub fn on_socket(path: &Path) {
    on_socket_with_version(path, VERSION);
}

/// Serves on a socket, with this body of `/version`.
pub fn on_socket_with_version(path: &Path, version: &str) {
    let listener = UnixListener::bind(path).unwrap();
    let version: Arc<str> = version.into();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let version = version.clone();
            thread::spawn(move || answer(stream, &version));
        }
    });
}

fn config(server: &CertifiedPem, ca: &CertifiedPem) -> ServerConfig {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&ca.certificate)).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
        .build()
        .unwrap();
    ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate(&server.certificate)],
            PrivateKeyDer::from_pem_slice(server.key.expose().as_bytes()).unwrap(),
        )
        .unwrap()
}

/// Answers requests until the client hangs up, as clients may at any time.
fn answer(stream: impl Read + Write, version: &str) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => lines.push(line),
            }
        }
        let path = lines.first().and_then(|line| line.split(' ').nth(1));
        let body = match path {
            Some("/_ping") => "OK",
            Some(path) if path.ends_with("/version") => version,
            _ => "{\"message\":\"page not found\"}",
        };
        let response = format!(
            "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.get_mut().write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}
