//! Asking a store over HTTP: one of its servers at a time, each call with its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rmachine_pki::crypto_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::DiscoveryError;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(90);

/// Maximum size of a response about one key or session, in bytes.
const MAX_RESPONSE: usize = 256 * 1024;

/// Maximum size of a list of members, in bytes: 10,000 members are below.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// Characters of a refusal that an error shows.
const MAX_SHOWN: usize = 500;

/// TCP keepalive: a peer whose machine is gone is noticed although it is only listened to.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The servers of a store.
#[derive(Clone)]
pub(crate) struct Servers {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `http://host:port`, or more, without a slash at the end.
    urls: Arc<[String]>,
    /// The one that answered last.
    current: Arc<AtomicUsize>,
    header: Option<(HeaderName, HeaderValue)>,
    limit: Duration,
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// The path and the query, with a slash before.
    pub(crate) path: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    max_response: usize,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) server: String,
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Ask {
    /// An ask without a body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            content_type: None,
            body: Bytes::new(),
            max_response: MAX_RESPONSE,
        }
    }

    /// Admits a response as long as a list of all members.
    pub(crate) fn for_list(self) -> Self {
        Self {
            max_response: MAX_LIST,
            ..self
        }
    }

    /// With this body.
    pub(crate) fn with(self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(content_type),
            body: body.into(),
            ..self
        }
    }
}

impl Answer {
    /// The answer of a success, the store's words as an error of anything else.
    pub(crate) fn success(self) -> Result<Self, DiscoveryError> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(DiscoveryError::Refused {
                message: shown(&String::from_utf8_lossy(&self.body)),
                server: self.server,
                status,
            }),
        }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, DiscoveryError> {
        serde_json::from_slice(&self.body).map_err(|error| DiscoveryError::Malformed {
            server: self.server.clone(),
            detail: error.to_string(),
        })
    }
}

impl Servers {
    /// Servers by their URLs, which are `http://` or `https://`. With a configuration, those are
    /// spoken to as it says; without, any authority that browsers trust will do.
    pub(crate) fn new(
        urls: Vec<String>,
        tls: Option<Arc<ClientConfig>>,
        limit: Duration,
    ) -> Result<Self, DiscoveryError> {
        let config = match tls {
            Some(config) => ClientConfig::clone(&config),
            None => public()?,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Whoever cannot be connected to leaves the others their share of the limit.
        let servers = u32::try_from(urls.len()).unwrap_or(u32::MAX).max(1);
        tcp.set_connect_timeout(Some(limit / servers));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE / 3));
        tcp.set_keepalive_retries(Some(3));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self {
            client,
            urls: urls.into(),
            current: Arc::default(),
            header: None,
            limit,
        })
    }

    /// Sends this with every ask; its value is kept out of logs.
    pub(crate) fn with_secret_header(
        mut self,
        name: HeaderName,
        value: &str,
    ) -> Result<Self, DiscoveryError> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| DiscoveryError::Option(format!("the {name} has odd characters in it")))?;
        value.set_sensitive(true);
        self.header = Some((name, value));
        Ok(self)
    }

    /// Asks, and hears the whole answer within the limit.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, DiscoveryError> {
        self.ask_within(ask, self.limit).await
    }

    /// As [`Servers::ask`] with a limit of its own.
    pub(crate) async fn ask_within(
        &self,
        ask: &Ask,
        limit: Duration,
    ) -> Result<Answer, DiscoveryError> {
        let asking = async {
            let (server, response) = self.first_answer(ask).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ask.max_response).collect().await;
            let body = body.map_err(|source| DiscoveryError::Unreachable {
                server: server.clone(),
                source,
            })?;
            Ok(Answer {
                server,
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        self.within(ask, limit, asking).await
    }

    /// Asks for an answer without an end; the limit holds until it begins.
    pub(crate) async fn open(
        &self,
        ask: &Ask,
    ) -> Result<(String, Response<Incoming>), DiscoveryError> {
        self.within(ask, self.limit, self.first_answer(ask)).await
    }

    async fn within<T>(
        &self,
        ask: &Ask,
        limit: Duration,
        asking: impl Future<Output = Result<T, DiscoveryError>>,
    ) -> Result<T, DiscoveryError> {
        match tokio::time::timeout(limit, asking).await {
            Ok(answered) => answered,
            Err(_) => {
                // Whoever is silent is not asked first the next time.
                let silent = self.current.fetch_add(1, Ordering::Relaxed);
                Err(DiscoveryError::Deadline {
                    server: self.urls[silent % self.urls.len()].clone(),
                    waiting_for: ask.path.split('?').next().unwrap_or_default().to_owned(),
                    limit,
                })
            }
        }
    }

    /// The answer of the first server that gives any, beginning with the one that did last.
    async fn first_answer(
        &self,
        ask: &Ask,
    ) -> Result<(String, Response<Incoming>), DiscoveryError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = None;
        for turn in 0..self.urls.len() {
            let place = (first + turn) % self.urls.len();
            let server = &self.urls[place];
            match self.client.request(self.request(server, ask)?).await {
                // A server whose cluster has no leader is there and no help.
                Ok(response)
                    if response.status().is_server_error() && turn + 1 < self.urls.len() => {}
                Ok(response) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok((server.clone(), response));
                }
                Err(error) => last = Some(unreachable(server, error)),
            }
        }
        Err(last.unwrap_or_else(|| DiscoveryError::Option("there is no server to ask".to_owned())))
    }

    fn request(&self, server: &str, ask: &Ask) -> Result<Request<Full<Bytes>>, DiscoveryError> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(format!("{server}{}", ask.path));
        if let Some(content_type) = ask.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        request
            .body(Full::new(ask.body.clone()))
            .map_err(|error| DiscoveryError::Malformed {
                server: server.to_owned(),
                detail: error.to_string(),
            })
    }
}

/// The text of a store for an error: shortened, without control characters.
pub(crate) fn shown(text: &str) -> String {
    let shown: String = text.trim().chars().take(MAX_SHOWN).collect();
    shown.escape_debug().to_string()
}

fn unreachable(
    server: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> DiscoveryError {
    DiscoveryError::Unreachable {
        server: server.to_owned(),
        source: Box::new(source),
    }
}

fn public() -> Result<ClientConfig, DiscoveryError> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| DiscoveryError::Certificates(rmachine_pki::PkiError::Tls(error)))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    /// A server that answers everything in the same way.
    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn servers(urls: &[&str]) -> Servers {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        Servers::new(urls, None, LIMIT).unwrap()
    }

    async fn status(servers: &Servers) -> Result<u16, DiscoveryError> {
        let asked = servers.ask(&Ask::new(Method::GET, "/")).await;
        asked.map(|answer| answer.status)
    }

    const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK";
    const ILL: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn who_has_no_answer_is_passed_over() {
        let (well, ill) = (answering(WELL).await, answering(ILL).await);
        let nobody = "http://127.0.0.1:1";
        let both = servers(&[nobody, &ill, &well]);
        assert_eq!(status(&both).await.unwrap(), 200);
        assert_eq!(both.current.load(Ordering::Relaxed), 2);
        // With none that is better, the refusal is the answer.
        assert_eq!(status(&servers(&[nobody, &ill])).await.unwrap(), 503);
        let error = status(&servers(&[nobody])).await.unwrap_err();
        assert!(
            matches!(error, DiscoveryError::Unreachable { .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn who_cannot_be_connected_to_does_not_use_the_limit_up() {
        // The kernel drops whoever wants to connect where too many wait already.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let address = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
        {
            waiting.push(stream);
        }
        let well = answering(WELL).await;
        let both = servers(&[&format!("http://{address}"), &well]);
        assert_eq!(status(&both).await.unwrap(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_asked_last_the_next_time() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let well = answering(WELL).await;
        let both = servers(&[&url, &well]);
        let error = status(&both).await.unwrap_err();
        assert!(
            matches!(error, DiscoveryError::Deadline { .. }),
            "{error:?}"
        );
        assert_eq!(both.current.load(Ordering::Relaxed), 1);
        tokio::time::resume();
        assert_eq!(status(&both).await.unwrap(), 200);
    }

    #[tokio::test]
    async fn response_above_the_limit_is_an_error() {
        for (size, is_read) in [(MAX_RESPONSE, true), (MAX_RESPONSE + 1, false)] {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            let response: &'static str = format!("{head}{}", "x".repeat(size)).leak();
            let server = servers(&[&answering(response).await]);
            let read = server.ask(&Ask::new(Method::GET, "/")).await;
            assert_eq!(read.is_ok(), is_read, "{size}");
            let read = server.ask(&Ask::new(Method::GET, "/").for_list()).await;
            assert!(read.is_ok(), "{size}");
        }
    }

    #[tokio::test]
    async fn refusal_shows_little_text_without_control_characters() {
        let head = "HTTP/1.1 403 No\r\nconnection: close\r\n\r\n";
        let text = format!("{head}\u{1b}[2J{}", "x".repeat(10_000)).leak();
        let server = servers(&[&answering(text).await]);
        let answer = server.ask(&Ask::new(Method::GET, "/")).await.unwrap();
        let error = answer.success().unwrap_err().to_string();
        assert!(error.len() < 600 && !error.contains('\u{1b}'), "{error}");
    }
}
