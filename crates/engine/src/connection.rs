use std::io;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::{Body, EngineEndpoint, EngineError, tls};

/// How long the connection's own task may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One HTTP/1.1 connection to an engine.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Connects, over TLS where the endpoint has it.
    pub(crate) async fn open(endpoint: &EngineEndpoint) -> Result<Self, EngineError> {
        let unreachable = |source| EngineError::Unreachable {
            endpoint: endpoint.to_string(),
            source,
        };
        match endpoint {
            EngineEndpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                Self::over(stream, endpoint).await
            }
            EngineEndpoint::Plain { host, port } => {
                let stream = dial(host, *port).await.map_err(unreachable)?;
                Self::over(stream, endpoint).await
            }
            EngineEndpoint::Tls { host, port, config } => {
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    EngineError::InvalidEndpoint {
                        url: endpoint.to_string(),
                    }
                })?;
                let stream = dial(host, *port).await.map_err(unreachable)?;
                let connector = TlsConnector::from(config.clone());
                match connector.connect(name, stream).await {
                    Ok(stream) => Self::over(stream, endpoint).await,
                    Err(error) => Err(broken(endpoint, error)),
                }
            }
        }
    }

    async fn over<S>(stream: S, endpoint: &EngineEndpoint) -> Result<Self, EngineError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(endpoint, io::Error::other(error)))?;
        Ok(Self {
            sender,
            task: tokio::spawn(connection),
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
    ) -> Result<Response<Incoming>, EngineError> {
        let ready = self.sender.ready().await;
        let sent = match ready {
            Ok(()) => self.sender.send_request(request).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(response) => Ok(response),
            Err(error) if tls::reason(&error).is_some() => {
                Err(broken(endpoint, io::Error::other(error)))
            }
            Err(error) => {
                let last_words = tokio::time::timeout(LAST_WORDS, &mut self.task).await;
                let error = match last_words {
                    Ok(Ok(Err(why))) => why,
                    _ => error,
                };
                Err(broken(endpoint, io::Error::other(error)))
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The error of a connection that ended.
pub(crate) fn broken(endpoint: &EngineEndpoint, error: io::Error) -> EngineError {
    let tls = matches!(endpoint, EngineEndpoint::Tls { .. });
    match tls::reason(&error) {
        Some(reason) => EngineError::Tls {
            endpoint: endpoint.to_string(),
            reason,
            source: error,
        },
        None if tls && error.kind() == io::ErrorKind::UnexpectedEof => EngineError::Protocol {
            endpoint: endpoint.to_string(),
            detail: "it hung up during the TLS handshake".to_owned(),
        },
        None => EngineError::Protocol {
            endpoint: endpoint.to_string(),
            detail: chain(&error),
        },
    }
}

/// Tries every address of a host in turn.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
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
