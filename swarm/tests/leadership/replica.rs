//! What a replica forwards, and to whom.

use std::sync::{Arc, Mutex};

use rmachine_pki::{ServerIdentity, server_config};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::lead;
use crate::peers::{Kind, Party};
use crate::process::{Rswarm, free_port};
use crate::servers::Server;
use crate::wire::{asked, get};

/// A leader that records the heads of the requests that it gets, and answers each.
struct Leader {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\n\
                      X-Hop: leader\r\nKeep-Alive: timeout=5\r\nX-End: leader\r\n\r\n[]";

impl Leader {
    async fn start(tls: Option<ServerIdentity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let acceptor = tls.map(|tls| TlsAcceptor::from(server_config(&tls).unwrap()));
        let recorded = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, recorded) = (acceptor.clone(), Arc::clone(&recorded));
                tokio::spawn(async move {
                    match acceptor {
                        None => answer(stream, &recorded).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                answer(stream, &recorded).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, heads: &Mutex<Vec<String>>) {
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => head.push_str(&String::from_utf8_lossy(&buffer[..read])),
            _ => return,
        }
    }
    heads.lock().unwrap().push(head.to_ascii_lowercase());
    let _ = stream.write_all(ANSWER.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn replica(port: u16, store: &str, more: &[&str]) -> Rswarm {
    let advertise = format!("--advertise=127.0.0.1:{port}");
    let args = [&["--replication", &advertise], more, &[store]].concat();
    Rswarm::manage(port, &args).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_comes_back_to_a_replica_is_not_forwarded_again() {
    let Some(etcd) = Server::etcd(false) else {
        return;
    };
    let store = format!("etcd://{}/loop", etcd.address());
    let port = free_port();
    let _lead = lead(&store, &format!("localhost:{port}")).await;
    let replica = replica(port, &store, &[]).await;
    for path in ["/containers/json", "/v1.41/images/json"] {
        let answer = get(port, path).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("leads to a replica"), "{answer}");
    }
    assert!(replica.files() < 200, "{}", replica.files());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_forwards_end_to_end_headers_of_all_but_its_own_requests() {
    let Some(etcd) = Server::etcd(false) else {
        return;
    };
    let store = format!("etcd://{}/headers", etcd.address());
    let leader = Leader::start(None).await;
    let _lead = lead(&store, &leader.address).await;
    let port = free_port();
    let _replica = replica(port, &store, &[]).await;
    let request = "DELETE /v1.41/containers/info?force=1 HTTP/1.1\r\nHost: localhost\r\n\
                   Connection: close, X-Mine\r\nX-Mine: client\r\nKeep-Alive: timeout=5\r\n\
                   Proxy-Authorization: Basic eA==\r\nX-Registry-Auth: e30=\r\n\r\n";
    let answer = asked(port, request.as_bytes()).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("x-end: leader"), "{answer}");
    for hop in ["x-hop", "keep-alive"] {
        assert!(!answer.contains(hop), "{hop}: {answer}");
    }
    let heads = leader.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let head = &heads[0];
    let line = "delete /v1.41/containers/info?force=1 http/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
    for header in ["x-registry-auth: e30=", "x-rswarm-forwarded: "] {
        assert!(head.contains(header), "{header}: {head}");
    }
    for hop in ["x-mine", "keep-alive", "proxy-authorization"] {
        assert!(!head.contains(hop), "{hop}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_forwards_only_to_a_manager_of_its_ca() {
    let Some(etcd) = Server::etcd(false) else {
        return;
    };
    for (own, peer, is_forwarded) in [
        (Kind::Manager, Kind::Manager, true),
        // The store's leader key names a node.
        (Kind::Manager, Kind::Engine, false),
        (Kind::Manager, Kind::Client, false),
        // A user's own CA knows no purposes.
        (Kind::Engine, Kind::Engine, true),
    ] {
        let party = Party::new();
        let store = format!("etcd://{}/{own:?}-{peer:?}", etcd.address());
        let leader = Leader::start(Some(party.server(peer))).await;
        let _lead = lead(&store, &leader.address).await;
        let port = free_port();
        let files = party.flags(own);
        let flags: Vec<&str> = files.iter().map(String::as_str).collect();
        let address = format!("tcp://127.0.0.1:{port}");
        let advertise = format!("--advertise=127.0.0.1:{port}");
        let args = ["manage", "-H", &address, "--replication", &advertise];
        let _replica = Rswarm::start(&[&args[..], &flags, &[&store]].concat());
        let request =
            "GET /containers/json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = party.ask(port, Kind::Client, request).await;
        let status = if is_forwarded { "200" } else { "502" };
        let shown = format!("{own:?} {peer:?}: {answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}");
        assert_eq!(leader.heads().len(), usize::from(is_forwarded), "{shown}");
        if own == Kind::Manager && peer == Kind::Engine {
            assert!(answer.contains("does not identify a manager"), "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_forwards_to_no_manager_of_another_ca() {
    let Some(etcd) = Server::etcd(false) else {
        return;
    };
    let (party, other) = (Party::new(), Party::new());
    let store = format!("etcd://{}/stranger", etcd.address());
    let leader = Leader::start(Some(other.server(Kind::Manager))).await;
    let _lead = lead(&store, &leader.address).await;
    let port = free_port();
    let files = party.flags(Kind::Manager);
    let flags: Vec<&str> = files.iter().map(String::as_str).collect();
    let address = format!("tcp://127.0.0.1:{port}");
    let advertise = format!("--advertise=127.0.0.1:{port}");
    let args = ["manage", "-H", &address, "--replication", &advertise];
    let _replica = Rswarm::start(&[&args[..], &flags, &[&store]].concat());
    let request = "GET /containers/json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = party.ask(port, Kind::Client, request).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(leader.heads(), [""; 0]);
}
