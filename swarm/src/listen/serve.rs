use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use rmachine_engine::full;
use rmachine_pki::{PeerCertificate, Purpose};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ListenAddress;
use super::admission::Limits;
use super::connections::{ActiveBody, ActiveRequest, Connections, Evicted, Ticket};
use super::cross_site::Policy;
use super::descriptors::descriptor_limit;
use super::log_throttle::LogThrottle;
use super::unix_socket;
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

/// How often failed TLS handshakes, and failures to accept a connection, are logged as a warning.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

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
    fn of(certificate: &CertificateDer<'_>) -> Self {
        match PeerCertificate::read(certificate) {
            Some(agent) if agent.purpose == Some(Purpose::Agent) => Self::Agent(Arc::new(agent)),
            _ => Self::Client,
        }
    }
}

/// An address that is being listened on.
pub struct Listener {
    socket: Socket,
    policy: Policy,
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
        let failed = |source| ListenError {
            address: address.clone(),
            source,
        };
        match address {
            ListenAddress::Tcp { host, port } => {
                let bound = if host.is_empty() { "0.0.0.0" } else { host };
                let listener = TcpListener::bind((bound, *port)).await.map_err(failed)?;
                let local = listener.local_addr().map_err(failed)?;
                let policy = Policy {
                    any_origin: false,
                    loopback: local.ip().to_canonical().is_loopback(),
                    name: host.clone(),
                };
                Ok(Self {
                    socket: Socket::Tcp(listener),
                    policy,
                })
            }
            ListenAddress::Unix(path) => {
                let listener = unix_socket::bind(path).await.map_err(failed)?;
                Ok(Self {
                    socket: Socket::Unix(listener),
                    policy: Policy::default(),
                })
            }
        }
    }

    /// Lets web pages of any origin use the API.
    pub fn allow_any_origin(&mut self) {
        self.policy.any_origin = true;
    }

    /// The TCP port, where it is one.
    pub fn port(&self) -> Option<u16> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Socket::Unix(_) => None,
        }
    }

    /// Whether other machines can connect.
    pub fn is_exposed(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_)) && !self.policy.loopback
    }
}

/// Answers everybody on all listeners until it is told to stop; then what is under way gets
/// 10 seconds. TCP is spoken to in TLS where there is a configuration, the newest one for each
/// connection; a socket never is.
///
/// Clients on TCP without a certificate may have only so many connections, by the limit of open
/// files; above that, the oldest ones without a request in progress are closed.
pub async fn serve<S, F>(
    listeners: Vec<Listener>,
    tls: Option<watch::Receiver<TlsConfigs>>,
    service: S,
    stop: CancellationToken,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Served> + Send + 'static,
{
    let tasks = TaskTracker::new();
    let connections = Connections::new(Limits::for_descriptors(descriptor_limit()));
    let accept_log = Arc::new(LogThrottle::new(LOG_INTERVAL));
    let handshake_log = Arc::new(LogThrottle::new(LOG_INTERVAL));
    let accepting = listeners.into_iter().map(|listener| {
        let acceptance = Acceptance {
            policy: Arc::new(listener.policy),
            socket: listener.socket,
            tls: tls.clone(),
            connections: connections.clone(),
            accept_log: Arc::clone(&accept_log),
            handshake_log: Arc::clone(&handshake_log),
        };
        acceptance.accept_all(service.clone(), &tasks, &stop)
    });
    futures_util::future::join_all(accepting).await;
    tasks.close();
    let drained = tokio::time::timeout(DRAIN_LIMIT, tasks.wait()).await;
    if drained.is_err() {
        let left = tasks.len();
        tracing::warn!("{left} connections did not end within {DRAIN_LIMIT:?}");
    }
}

/// A listener at work.
struct Acceptance {
    socket: Socket,
    policy: Arc<Policy>,
    tls: Option<watch::Receiver<TlsConfigs>>,
    connections: Connections,
    accept_log: Arc<LogThrottle>,
    handshake_log: Arc<LogThrottle>,
}

impl Acceptance {
    async fn accept_all<S, F>(self, service: S, tasks: &TaskTracker, stop: &CancellationToken)
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Served> + Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.accept() => accepted,
            };
            let (service, stop) = (service.clone(), stop.clone());
            match accepted {
                Ok(Accepted::Unix(stream)) => {
                    let client = Client::trusted();
                    tasks.spawn(answer(Box::new(stream), client, service, stop));
                }
                Ok(Accepted::Tcp(stream, address)) => {
                    let (ticket, evicted) = self.connections.admit(address.ip());
                    let client = Client {
                        peer: Peer::Client,
                        ticket: Some(Arc::new(ticket)),
                        policy: Some(Arc::clone(&self.policy)),
                    };
                    let Some(tls) = &self.tls else {
                        let answering = answer(Box::new(stream), client, service, stop);
                        tasks.spawn(unless_evicted(answering, evicted));
                        continue;
                    };
                    let config = Arc::clone(&tls.borrow().server);
                    let log = Arc::clone(&self.handshake_log);
                    tasks.spawn(async move {
                        let (stream, client, evicted) =
                            handshake(stream, config, client, evicted, &log).await?;
                        let answering = answer(Box::new(stream), client, service, stop);
                        match evicted {
                            Some(evicted) => unless_evicted(answering, evicted).await,
                            None => answering.await,
                        }
                        Some(())
                    });
                }
                Err(error) => self.recover(&error).await,
            }
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                rmachine_engine::probe_when_idle(&stream)?;
                Ok(Accepted::Tcp(stream, address))
            }
            Socket::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }

    /// Makes it likely that the next connection can be accepted.
    async fn recover(&self, error: &io::Error) {
        if let Some(suppressed) = self.accept_log.admit(Instant::now()) {
            tracing::warn!(
                "a connection could not be accepted: {error} ({suppressed} further failures since \
                 the last such message)"
            );
        }
        let errno = error.raw_os_error().map(Errno::from_raw);
        if matches!(errno, Some(Errno::EMFILE | Errno::ENFILE)) {
            self.connections.evict_oldest();
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// What is known of a connection's other side.
struct Client {
    peer: Peer,
    /// Its entry among the unauthenticated connections.
    ticket: Option<Arc<Ticket>>,
    /// What its requests are checked against.
    policy: Option<Arc<Policy>>,
}

impl Client {
    /// A client that may do everything.
    fn trusted() -> Self {
        Self {
            peer: Peer::Client,
            ticket: None,
            policy: None,
        }
    }
}

/// Runs a connection until it ends or is evicted.
async fn unless_evicted(connection: impl Future<Output = ()>, evicted: Evicted) {
    tokio::select! {
        () = connection => {}
        _ = evicted => {}
    }
}

/// Completes a TLS handshake, and tells who the client is. A client that showed its certificate is
/// no longer evicted. An agent's certificate is on every node: it does not lift the limits.
async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    client: Client,
    mut evicted: Evicted,
    log: &LogThrottle,
) -> Option<(TlsStream<TcpStream>, Client, Option<Evicted>)> {
    let ticket = client.ticket.as_ref()?;
    let shaking = async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
        let start = start.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Unshaken::Gone,
            _ => Unshaken::Failed(error),
        })?;
        ticket.begin_handshake();
        let stream = start.into_stream(config).await;
        stream.map_err(Unshaken::Failed)
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_LIMIT, shaking) => shaken,
        _ = &mut evicted => return None,
    };
    let stream = match shaken.unwrap_or(Err(Unshaken::TimedOut)) {
        Ok(stream) => stream,
        Err(why) => {
            log_failed_handshake(log, ticket.source(), &why);
            return None;
        }
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    match certificate.map(Peer::of) {
        None => {
            ticket.end_handshake();
            Some((stream, client, Some(evicted)))
        }
        Some(peer @ Peer::Agent(_)) => {
            ticket.end_handshake();
            let agent = Client {
                peer,
                policy: None,
                ..client
            };
            Some((stream, agent, Some(evicted)))
        }
        Some(Peer::Client) => Some((stream, Client::trusted(), None)),
    }
}

/// Why a TLS handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum Unshaken {
    /// The client left before it began, as health checks and port scans do.
    #[error("closed by the client")]
    Gone,
    #[error("{0}")]
    Failed(io::Error),
    #[error("timed out")]
    TimedOut,
}

fn log_failed_handshake(log: &LogThrottle, source: IpAddr, why: &Unshaken) {
    let admitted = match why {
        Unshaken::Gone => None,
        Unshaken::Failed(_) | Unshaken::TimedOut => log.admit(Instant::now()),
    };
    match admitted {
        None => tracing::debug!("TLS handshake with {source} failed: {why}"),
        Some(0) => tracing::warn!("TLS handshake with {source} failed: {why}"),
        Some(suppressed) => tracing::warn!(
            "TLS handshake with {source} failed: {why} ({suppressed} further failed handshakes \
             since the last such message)"
        ),
    }
}

/// What a connection runs over. Of one type for all, as HTTP is a large part of the program.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The response to a request; one that says so where the program panics over it.
async fn answered(response: impl Future<Output = Served>) -> Served {
    panics::caught(response).await.unwrap_or_else(|| {
        let message = "the manager failed on this request; its log says where";
        let mut response = rejected(StatusCode::INTERNAL_SERVER_ERROR, &message);
        // The rest of the request may not have been read.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    })
}

async fn answer<S, F>(stream: Box<dyn Stream>, client: Client, service: S, stop: CancellationToken)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Served> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let active = client.begin(&request);
        request.extensions_mut().insert(client.peer.clone());
        let service = service.clone();
        async move {
            let active = match active {
                Ok(active) => active,
                Err(rejection) => return Ok::<_, Infallible>(*rejection),
            };
            let answer = answered(async move { service(request).await }).await;
            Ok(match active {
                Some(active) => answer.map(|body| ActiveBody::new(body, active).boxed_unsync()),
                None => answer,
            })
        }
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

impl Client {
    /// Checks a request. Returns what keeps the connection open while the request is in progress.
    ///
    /// # Errors
    /// The answer to a request that is rejected.
    fn begin(&self, request: &Request<Incoming>) -> Result<Option<ActiveRequest>, Box<Served>> {
        if let Some(policy) = &self.policy {
            let (method, path) = (request.method(), request.uri().path());
            let has_body = !request.body().is_end_stream();
            let checked = policy.check(method, path, request.headers(), has_body);
            checked.map_err(|rejection| {
                tracing::debug!("rejected {method} {path}: {rejection}");
                Box::new(rejected(rejection.status(), &rejection))
            })?;
        }
        match self.ticket.as_ref().map(|ticket| ticket.begin_request()) {
            None => Ok(None),
            Some(Some(active)) => Ok(Some(active)),
            Some(None) => Err(Box::new(rejected(
                StatusCode::SERVICE_UNAVAILABLE,
                &"too many requests of clients without a certificate are in progress",
            ))),
        }
    }
}

fn rejected(status: StatusCode, message: &dyn std::fmt::Display) -> Served {
    let body = json!({ "message": message.to_string() });
    let mut answer = Response::new(full(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
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
