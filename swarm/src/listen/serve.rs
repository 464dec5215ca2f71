use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmachine_pki::{PeerCertificate, Purpose};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ListenAddress;
use crate::panics;
use crate::tls::TlsConfigs;

/// How long a client may take for its part of the TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// The longest head of a request; Go's server takes as much.
const LONGEST_HEAD: usize = 1024 * 1024;

/// How long requests that are under way may take to end when the program is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The pause after an accept that failed, as it does when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an answer is sent as.
pub type Served = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An answer with any body, as one that is sent.
pub fn boxed<B>(answer: Response<B>) -> Served
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    answer.map(|body| body.map_err(io::Error::other).boxed_unsync())
}

/// Why nothing can be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: ListenAddress,
    /// What the system says.
    pub source: io::Error,
}

/// Who asks: an extension of every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Peer {
    /// Somebody who may ask for anything.
    Client,
    /// A node's agent, with a certificate that is good for registering only.
    Agent(Arc<PeerCertificate>),
}

impl Peer {
    fn of<T>(stream: &TlsStream<T>) -> Self {
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let shown = shown.and_then(|certificate| PeerCertificate::read(certificate));
        match shown.filter(|shown| shown.purpose == Some(Purpose::Agent)) {
            Some(agent) => Self::Agent(Arc::new(agent)),
            None => Self::Client,
        }
    }
}

/// An address that is being listened on.
pub struct Listener {
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Starts to listen. A socket file that nobody listens on any more is replaced; a new one is
    /// the owner's alone.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        let bound = match address {
            ListenAddress::Tcp { host, port } => {
                let host = if host.is_empty() { "0.0.0.0" } else { host };
                TcpListener::bind((host, *port)).await.map(Socket::Tcp)
            }
            ListenAddress::Unix(path) => unix(path).await.map(Socket::Unix),
        };
        let socket = bound.map_err(|source| ListenError {
            address: address.clone(),
            source,
        })?;
        Ok(Self { socket })
    }

    /// The TCP port, where it is one.
    pub fn port(&self) -> Option<u16> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Socket::Unix(_) => None,
        }
    }
}

async fn unix(path: &std::path::Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers everybody on all listeners until it is told to stop; then what is under way gets
/// 10 seconds. TCP is spoken to in TLS where there is a configuration, the newest one for each
/// connection; a socket never is.
pub async fn serve<S, F>(
    listeners: Vec<Listener>,
    tls: Option<watch::Receiver<TlsConfigs>>,
    service: S,
    stop: CancellationToken,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Served> + Send + 'static,
{
    let connections = TaskTracker::new();
    let accepting = listeners.into_iter().map(|listener| {
        let (tls, service) = (tls.clone(), service.clone());
        accept(listener, tls, service, &connections, &stop)
    });
    futures_util::future::join_all(accepting).await;
    connections.close();
    let drained = tokio::time::timeout(DRAIN_LIMIT, connections.wait()).await;
    if drained.is_err() {
        let left = connections.len();
        tracing::warn!("{left} connections did not end within {DRAIN_LIMIT:?}");
    }
}

async fn accept<S, F>(
    listener: Listener,
    tls: Option<watch::Receiver<TlsConfigs>>,
    service: S,
    connections: &TaskTracker,
    stop: &CancellationToken,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Served> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = one(&listener) => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, stop) = (service.clone(), stop.clone());
        match (stream, &tls) {
            (Accepted::Tcp(stream), Some(tls)) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().server));
                connections.spawn(async move {
                    let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
                    match shaken.await {
                        Ok(Ok(stream)) => {
                            let peer = Peer::of(&stream);
                            answer(Box::new(stream), peer, service, stop).await
                        }
                        Ok(Err(error)) => tracing::info!("a TLS handshake failed: {error}"),
                        Err(_) => tracing::info!("a TLS handshake took too long"),
                    }
                });
            }
            (Accepted::Tcp(stream), None) => {
                connections.spawn(answer(Box::new(stream), Peer::Client, service, stop));
            }
            (Accepted::Unix(stream), _) => {
                connections.spawn(answer(Box::new(stream), Peer::Client, service, stop));
            }
        }
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn one(listener: &Listener) -> io::Result<Accepted> {
    match &listener.socket {
        Socket::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            rmachine_engine::probe_when_idle(&stream)?;
            Ok(Accepted::Tcp(stream))
        }
        Socket::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
    }
}

/// What a connection runs over. Of one type for all, as HTTP is a large part of the program.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The response to a request; one that says so where the program panics over it.
async fn answered(response: impl Future<Output = Served>) -> Served {
    panics::caught(response).await.unwrap_or_else(|| {
        let message = r#"{"message":"the manager failed on this request; its log says where"}"#;
        let mut response = Response::new(rmachine_engine::full(message));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        // The rest of the request may not have been read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    })
}

async fn answer<S, F>(stream: Box<dyn Stream>, peer: Peer, service: S, stop: CancellationToken)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Served> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let service = service.clone();
        async move { Ok::<_, Infallible>(answered(async move { service(request).await }).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answered_panic_is_an_internal_error_that_closes_the_connection() {
        let response = answered(async {
            if panics::count() < u64::MAX {
                panic!("planted");
            }
            Response::new(rmachine_engine::full(""))
        });
        let response = response.await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONNECTION], "close");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["message"].is_string());
    }
}
