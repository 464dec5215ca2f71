//! Clients that occupy connections: without a certificate, without a request, and by the thousand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmachine_pki::{
    Authority, CertifiedPem, ClientIdentity, KeyType, San, ServerRequest, client_config,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::process::{Rswarm, free_port};
use crate::wire::{begun, get};

/// How many idle connections are opened: more than the manager may have files.
const IDLE: usize = 400;

/// The manager's limits of open files.
const SOFT: usize = 128;
const HARD: usize = 256;

/// How long a client tries to get through. Idle connections are closed after 10 s anyway, which is
/// not to be what helps.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long an idle client waits before it connects again: the oldest of the 32 connections that it
/// may have then is evicted after 160 ms.
const RECONNECT: Duration = Duration::from_secs(2);

/// How many authenticated clients there are behind one address.
const CLIENTS: usize = 1_000;

/// How long they may take to connect, on a busy machine.
const CONNECTED: Duration = Duration::from_secs(60);

const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Nobody listens there: a node that never is.
const NOBODY: &str = "127.0.0.1:1";

struct Certificates {
    dir: TempDir,
    client: Arc<ClientConfig>,
}

impl Certificates {
    fn new() -> Self {
        let (authority, ca) = Authority::create("lab", KeyType::Ecdsa).unwrap();
        let server = authority.issue_server(&ServerRequest {
            name: "manager".to_owned(),
            organization: "lab".to_owned(),
            sans: vec![San::Ip([127, 0, 0, 1].into())],
            client_auth: true,
            key: KeyType::Ecdsa,
        });
        let client = authority.issue_client("lab", KeyType::Ecdsa).unwrap();
        let client = client_config(&ClientIdentity {
            ca: ca.certificate.clone(),
            certificate: client.certificate,
            key: client.key,
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), &ca.certificate).unwrap();
        write(dir.path(), &server.unwrap());
        Self {
            dir,
            client: client.unwrap(),
        }
    }

    /// Command line of a manager without nodes that listens with these certificates.
    fn manage(&self, port: u16) -> Vec<String> {
        let path = |file: &str| self.dir.path().join(file).display().to_string();
        vec![
            "manage".to_owned(),
            format!("--host=tcp://127.0.0.1:{port}"),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", path("ca.pem")),
            format!("--tlscert={}", path("cert.pem")),
            format!("--tlskey={}", path("key.pem")),
            NOBODY.to_owned(),
        ]
    }

    async fn connect(&self, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.client));
        connector.connect(name, stream).await
    }
}

fn write(dir: &Path, certified: &CertifiedPem) {
    std::fs::write(dir.join("cert.pem"), &certified.certificate).unwrap();
    std::fs::write(dir.join("key.pem"), certified.key.expose()).unwrap();
}

/// Asks for a ping over a connection that stays open.
async fn ping(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    stream.write_all(PING).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"OK") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    Ok(())
}

/// Clients that connect, say nothing, and connect again when they are thrown out.
fn idle_clients(port: u16) -> Vec<JoinHandle<()>> {
    let idle = (0..IDLE).map(|_| {
        tokio::spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = stream.read_u8().await;
                }
                tokio::time::sleep(RECONNECT).await;
            }
        })
    });
    idle.collect()
}

/// Repeats an attempt until it succeeds.
async fn get_through<T>(attempt: impl AsyncFn() -> std::io::Result<T>) -> T {
    let trying = async {
        loop {
            match attempt().await {
                Ok(done) => return done,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let done = tokio::time::timeout(PATIENCE, trying).await;
    done.expect("idle connections lock everybody else out")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sockets_do_not_lock_out_clients_with_a_certificate() {
    let certificates = Certificates::new();
    let port = free_port();
    let args = certificates.manage(port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let manager = Rswarm::start_with_files(SOFT, HARD, &args);
    manager.until_listening(port).await;
    assert_eq!(manager.files_limit(), HARD);
    let mut earlier = certificates.connect(port).await.unwrap();
    ping(&mut earlier).await.unwrap();

    let idle = idle_clients(port);
    manager
        .until_files("idle clients are let in", |files| files > HARD / 8)
        .await;
    get_through(async || {
        let mut stream = certificates.connect(port).await?;
        ping(&mut stream).await
    })
    .await;
    ping(&mut earlier).await.unwrap();
    idle.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn failed_handshakes_are_logged_once_a_minute_with_the_address() {
    let certificates = Certificates::new();
    let port = free_port();
    let args = certificates.manage(port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let manager = Rswarm::start(&args);
    manager.until_listening(port).await;
    for _ in 0..5 {
        let mut stream = begun(port, b"GET / HTTP/1.1\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let mut stream = certificates.connect(port).await.unwrap();
    ping(&mut stream).await.unwrap();
    let said = manager.said();
    let failures: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("handshake"))
        .collect();
    assert_eq!(failures.len(), 1, "{said}");
    assert!(failures[0].contains("WARN"), "{said}");
    assert!(
        failures[0].contains("TLS handshake with 127.0.0.1 failed"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sockets_on_plain_listener_evict_no_active_request() {
    let port = free_port();
    let host = format!("tcp://127.0.0.1:{port}");
    let args = ["manage", "-H", &host, NOBODY];
    let manager = Rswarm::start_with_files(SOFT, HARD, &args);
    manager.until_listening(port).await;
    let events = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut events = begun(port, events).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(events.read_buf(&mut head).await.unwrap(), 0, "{head:?}");
    }

    let idle = idle_clients(port);
    manager
        .until_files("idle clients are let in", |files| files > HARD / 8)
        .await;
    for _ in 0..3 {
        get_through(async || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            ping(&mut stream).await
        })
        .await;
    }
    let open = events.try_read(&mut [0]).unwrap_err();
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock);
    idle.iter().for_each(JoinHandle::abort);
    assert!(
        manager.said().contains("too many connections"),
        "{}",
        manager.said()
    );
    assert!(get(port, "/_ping").await.contains("OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_authenticated_clients_of_one_address_stay_connected() {
    let certificates = Arc::new(Certificates::new());
    let port = free_port();
    let args = certificates.manage(port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let manager = Rswarm::start(&args);
    manager.until_listening(port).await;
    let mut connecting = JoinSet::new();
    for _ in 0..CLIENTS {
        let certificates = Arc::clone(&certificates);
        connecting.spawn(async move {
            let mut stream = certificates.connect(port).await?;
            ping(&mut stream).await?;
            Ok::<_, std::io::Error>(stream)
        });
    }
    let connected = tokio::time::timeout(CONNECTED, connecting.join_all()).await;
    let mut connected: Vec<_> = connected.unwrap().into_iter().map(Result::unwrap).collect();
    for stream in &mut connected {
        ping(stream).await.unwrap();
    }
}
