use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::deadline::Deadline;
use crate::{Body, EngineEndpoint, EngineError, keepalive, tls};

/// How long the connection's own task may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the way to an engine may take: a lost packet is sent again after one second, then two,
/// then four. Who calls an engine whose host is gone learns that long before an answer is overdue.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an address that does not answer holds up the next one of the same host.
const NEXT_ADDRESS: Duration = Duration::from_secs(3);

/// How much is read at a time: what one record of TLS holds.
const READ_AT_ONCE: usize = 8 * 1024;

/// One HTTP/1.1 connection to an engine.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    task: JoinHandle<hyper::Result<()>>,
}

/// What a connection runs over. Of one type for all, as HTTP is a large part of a program.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A request that got no answer.
pub(crate) struct Unanswered {
    /// Why.
    pub(crate) error: EngineError,
    /// The request, where the engine has seen nothing of it.
    pub(crate) unsent: Option<Request<Body>>,
}

impl Connection {
    /// Connects, over TLS where the endpoint has it.
    pub(crate) async fn open(
        endpoint: &EngineEndpoint,
        deadline: &Deadline<'_>,
    ) -> Result<Self, EngineError> {
        let connect = deadline.sooner(CONNECT);
        match endpoint {
            EngineEndpoint::Unix(path) => {
                let stream = connect.bound("a connection", socket(endpoint, path));
                Self::over(Box::new(stream.await?), endpoint).await
            }
            EngineEndpoint::Plain { host, port } => {
                let stream = connect.bound("a connection", dial(endpoint, host, *port));
                Self::over(Box::new(stream.await?), endpoint).await
            }
            EngineEndpoint::Tls { host, port, config } => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| EngineError::InvalidEndpoint {
                    url: endpoint.to_string(),
                })?;
                let stream = connect.bound("a connection", dial(endpoint, host, *port));
                let shaking = handshake(endpoint, config, name, stream.await?);
                let stream = deadline.bound("the TLS handshake", shaking);
                Self::over(Box::new(stream.await?), endpoint).await
            }
        }
    }

    async fn over(stream: Box<dyn Stream>, endpoint: &EngineEndpoint) -> Result<Self, EngineError> {
        let mut settings = http1::Builder::new();
        // What is passed on from others is to arrive as they wrote it.
        settings.preserve_header_case(true);
        // A connection keeps the room that its longest answer took, and idle ones are many.
        settings.read_buf_exact_size(Some(READ_AT_ONCE));
        let (sender, connection) = settings
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(endpoint, io::Error::other(error)))?;
        Ok(Self {
            sender,
            task: tokio::spawn(connection.with_upgrades()),
        })
    }

    /// Whether a further request can be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and returns the answer's head.
    ///
    /// With TLS 1.3 an engine refuses our certificate only after we took the connection for made,
    /// and then the request's own error says no more than that the connection ended. Why it ended
    /// is known to the task that reads it.
    pub(crate) async fn send(
        &mut self,
        endpoint: &EngineEndpoint,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let (error, unsent) = match self.sender.ready().await {
            Err(error) => (error, Some(request)),
            Ok(()) => match self.sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => {
                    let unsent = error.take_message();
                    (error.into_error(), unsent)
                }
            },
        };
        let error = match tls::reason(&error) {
            Some(_) => error,
            None => match tokio::time::timeout(LAST_WORDS, &mut self.task).await {
                Ok(Ok(Err(why))) => why,
                _ => error,
            },
        };
        Err(Unanswered {
            error: broken(endpoint, io::Error::other(error)),
            unsent,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The error of a connection that ended.
pub(crate) fn broken(endpoint: &EngineEndpoint, error: io::Error) -> EngineError {
    match tls::reason(&error) {
        Some(reason) => EngineError::Tls {
            endpoint: endpoint.to_string(),
            reason,
            source: error,
        },
        None => EngineError::protocol(endpoint, &chain(&error)),
    }
}

async fn socket(endpoint: &EngineEndpoint, path: &Path) -> Result<UnixStream, EngineError> {
    let connected = UnixStream::connect(path).await;
    connected.map_err(|source| unreachable(endpoint, source))
}

/// Tries every address of a host in turn.
async fn dial(endpoint: &EngineEndpoint, host: &str, port: u16) -> Result<TcpStream, EngineError> {
    let failed = |source| unreachable(endpoint, source);
    let found = tokio::net::lookup_host((host, port)).await;
    let mut addresses = found.map_err(failed)?.peekable();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(address) = addresses.next() {
        let connecting = TcpStream::connect(address);
        let connected = match addresses.peek() {
            None => connecting.await,
            Some(_) => tokio::time::timeout(NEXT_ADDRESS, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                keepalive::probe_when_idle(&stream).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// An engine that is about to start, or a port that is passed on to it, may hang up here.
async fn handshake(
    endpoint: &EngineEndpoint,
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, EngineError> {
    let connector = TlsConnector::from(Arc::clone(config));
    let shaken = connector.connect(name, stream).await;
    shaken.map_err(|error| match tls::reason(&error) {
        Some(_) => broken(endpoint, error),
        None => unreachable(endpoint, error),
    })
}

fn unreachable(endpoint: &EngineEndpoint, source: io::Error) -> EngineError {
    EngineError::Unreachable {
        endpoint: endpoint.to_string(),
        source,
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
