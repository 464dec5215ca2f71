//! The client against servers on loopback: who refuses whom over TLS, and what answers turn into.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod parties;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use parties::Party;
use rmachine_engine::{Engine, EngineEndpoint, EngineError, TlsReason, full};
use rmachine_pki::{CertifiedPem, crypto_provider};
use rmachine_test_support::skip;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_secs(10);

const VERSION: &str = r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;

/// A server that lets in the clients of one authority; returns its URL.
async fn serve_tls(clients: &Party, own: CertifiedPem) -> String {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(clients.ca.as_bytes()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
        .build()
        .unwrap();
    let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, VERSION, "200 OK", usize::MAX).await;
            }
        }
    });
    url
}

/// A server without TLS that closes each connection after some answers; returns its URL.
async fn serve_plain(body: &'static str, status: &'static str, answers: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, body, status, answers));
        }
    });
    url
}

/// Answers every request alike, but `/_ping`, which tells the API version.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    body: &'static str,
    status: &'static str,
    answers: usize,
) {
    let mut seen = Vec::new();
    let mut answered = 0;
    while answered < answers {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => seen.extend_from_slice(&chunk[..read]),
            _ => return,
        }
        // As Go's server does with what is no HTTP.
        if !seen[0].is_ascii_alphabetic() {
            let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(refusal).await;
            return;
        }
        while let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).into_owned();
            seen.drain(..end + 4);
            let (status, body) = match head.contains("/_ping") {
                true => ("200 OK", "OK"),
                false => (status, body),
            };
            let text = format!(
                "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            answered += 1;
        }
    }
}

fn plain(url: &str) -> Engine {
    Engine::new(EngineEndpoint::without_tls(url).unwrap(), LIMIT)
}

fn tls(url: &str, config: Arc<rustls::ClientConfig>) -> Engine {
    Engine::new(EngineEndpoint::tls(url, config).unwrap(), LIMIT)
}

async fn refusal(url: &str, config: Arc<rustls::ClientConfig>) -> TlsReason {
    match tls(url, config).version().await {
        Err(EngineError::Tls { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tells_who_refused_whom() {
    let (ours, theirs) = (Party::new(), Party::new());
    let url = serve_tls(&ours, ours.server("127.0.0.1")).await;
    let version = tls(&url, ours.client(&ours)).version().await.unwrap();
    assert_eq!(version.version, "20.10.24");
    assert_eq!(
        refusal(&url, theirs.client(&ours)).await,
        TlsReason::ClientRefused
    );
    assert_eq!(
        refusal(&url, ours.client(&theirs)).await,
        TlsReason::UnknownAuthority
    );
    let url = serve_tls(&ours, ours.server("10.9.9.9")).await;
    assert_eq!(
        refusal(&url, ours.client(&ours)).await,
        TlsReason::NameMismatch
    );
    let url = serve_plain(VERSION, "200 OK", 1).await;
    assert_eq!(refusal(&url, ours.client(&ours)).await, TlsReason::NotTls);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    // Bound, it is nobody else's; the kernel refuses who connects, as nothing listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("tcp://{}", socket.local_addr().unwrap());
    let error = plain(&url).ping().await.unwrap_err();
    assert!(
        matches!(error, EngineError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_gone_is_given_up_before_an_answer_is_overdue() {
    // Nobody takes the connections that the kernel made for it, so further ones get no answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waits = std::net::TcpStream::connect(address).unwrap();
    let endpoint = EngineEndpoint::without_tls(&format!("tcp://{address}")).unwrap();
    for (given, expected) in [(60, 10), (5, 5)] {
        let engine = Engine::new(endpoint.clone(), Duration::from_secs(given));
        let error = engine.version().await.unwrap_err();
        assert!(
            matches!(error, EngineError::Deadline { limit, .. } if limit.as_secs() == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_silent_engine_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let endpoint = EngineEndpoint::without_tls(&url).unwrap();
    let engine = Engine::new(endpoint, Duration::from_millis(200));
    let error = engine.version().await.unwrap_err();
    assert!(matches!(error, EngineError::Deadline { .. }), "{error:?}");
}

#[tokio::test]
async fn keeps_the_engines_own_words() {
    let url = serve_plain(r#"{"message":"no such thing"}"#, "404 Not Found", 9).await;
    match plain(&url).call(Method::GET, "/thing", None).await {
        Err(EngineError::Refused {
            status, message, ..
        }) => assert_eq!((status, message.as_str()), (404, "no such thing")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn connects_anew_when_the_engine_closed_the_connection() {
    let url = serve_plain(VERSION, "200 OK", 1).await;
    let engine = plain(&url);
    for _ in 0..3 {
        engine.call(Method::GET, "/version", None).await.unwrap();
    }
}

#[tokio::test]
async fn keeps_its_connection_after_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&format!("tcp://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Whoever comes again finds nobody.
        drop(listener);
        answer(stream, r#"{"message":"no"}"#, "409 Conflict", 9).await;
    });
    for _ in 0..3 {
        let refused = engine.call(Method::POST, "/thing", None).await;
        assert!(
            matches!(refused, Err(EngineError::Refused { status: 409, .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn progress_comes_line_by_line_and_ends_with_its_error() {
    let lines = "{\"status\":\"one\"}\r\n{\"status\":\"two\"}\n{\"errorDetail\":{\"code\":404},\"error\":\"gone\"}\n";
    let url = serve_plain(lines, "200 OK", 9).await;
    let mut seen = Vec::new();
    let streamed = plain(&url)
        .stream(
            Method::POST,
            "/build",
            "application/x-tar",
            full("x"),
            |line| {
                seen.push(line["status"].as_str().unwrap_or_default().to_owned());
            },
        )
        .await;
    assert_eq!(seen, ["one", "two"]);
    assert!(
        matches!(&streamed, Err(EngineError::Refused { status: 404, message, .. }) if message == "gone"),
        "{streamed:?}"
    );
}

#[tokio::test]
async fn talks_to_a_real_engine() {
    let Ok(url) = std::env::var("RMACHINE_TEST_ENGINE") else {
        return skip("RMACHINE_TEST_ENGINE names no engine");
    };
    let Some(socket) = url.strip_prefix("unix://") else {
        return skip(&format!("{url} is not a unix socket"));
    };
    let engine = Engine::new(EngineEndpoint::Unix(socket.into()), LIMIT);
    let version = engine.version().await.unwrap();
    let info = engine.info().await.unwrap();
    assert_eq!(info["ServerVersion"], version.version.as_str());
    let missing = engine
        .call(Method::GET, "/containers/no-such/json", None)
        .await;
    assert!(
        matches!(missing, Err(EngineError::Refused { status: 404, .. })),
        "{missing:?}"
    );
}
