//! Requests that go on to an engine, and its answers on their way back.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use rmachine_engine::{
    ApiVersion, Body, Buffered, EngineBody, EngineError, ResponseKind, error_message, full,
};
use serde_json::Value;

use super::ApiError;
use super::body::ClientBody;
use crate::cluster::NodeEngine;
use crate::listen::{Served, boxed};

/// How long an engine may take for what it only has to look up.
pub const LOOKUP: Duration = Duration::from_secs(30);

/// How long an engine may take for what it does at once.
pub const ACTION: Duration = Duration::from_secs(120);

/// How long an engine may take for what has to do with files: to commit, to load, to remove.
pub const WORK: Duration = Duration::from_secs(1800);

/// How long an answer may take that begins when something happens: a container ends.
pub const PATIENT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What belongs to one connection, not to the request that comes over it.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request to an engine.
pub struct Outgoing {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

impl Outgoing {
    /// A request of our own. The path has no version; its names are encoded.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: full(Bytes::new()),
        }
    }

    /// Adds the parameters.
    #[must_use]
    pub fn query(mut self, query: Option<&str>) -> Self {
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            self.path.push('?');
            self.path.push_str(query);
        }
        self
    }

    /// Takes over a client's headers, as far as they say something to the engine.
    #[must_use]
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers = end_to_end(headers);
        self.headers.remove(header::HOST);
        self
    }

    /// Sends a body as it comes.
    #[must_use]
    pub fn stream(mut self, body: ClientBody) -> Self {
        self.body = body.boxed_unsync();
        self
    }

    /// Sends any body; what was said of the length of another is forgotten.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.headers.remove(header::CONTENT_LENGTH);
        self.body = body;
        self
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(mut self, content: impl Into<Bytes>) -> Self {
        let json = http::HeaderValue::from_static(super::answer::JSON);
        self.headers.insert(header::CONTENT_TYPE, json);
        self.body(full(content))
    }

    pub(super) fn request(
        self,
        node: &NodeEngine,
        client: Option<ApiVersion>,
    ) -> Result<Request<Body>, ApiError> {
        let version = node.about.api.clamp(client.unwrap_or(ApiVersion::NEWEST));
        let (path, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        // An engine would go along them, to where the route does not lead.
        if path
            .split('/')
            .skip(1)
            .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(ApiError::Invalid(format!("{path} has a name that is none")));
        }
        let uri = format!("/v{version}{}", self.path);
        let request = Request::builder().method(self.method).uri(uri);
        let request = request.body(self.body);
        let mut request = request.map_err(|error| ApiError::Invalid(error.to_string()))?;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

impl NodeEngine {
    /// Sends a request in the version that is nearest to the client's. The answer may be a
    /// refusal.
    ///
    /// # Errors
    /// [`ApiError::Engine`] when there is no answer.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        client: Option<ApiVersion>,
        patience: Duration,
    ) -> Result<Response<EngineBody>, ApiError> {
        let request = outgoing.request(self, client)?;
        let sent = self.engine.send(request, patience).await;
        sent.map_err(|source| self.failed(source))
    }

    /// Sends a request and passes the answer on as it comes.
    ///
    /// # Errors
    /// [`ApiError::Engine`] when there is no answer.
    pub(super) async fn pass(
        &self,
        outgoing: Outgoing,
        client: Option<ApiVersion>,
        patience: Duration,
    ) -> Result<Served, ApiError> {
        let answer = self.send(outgoing, client, patience).await?;
        Ok(passed(answer))
    }

    /// Sends a request and reads the whole response, which is one of success.
    ///
    /// # Errors
    /// [`ApiError::Engine`], also for an error of the engine, with its message.
    pub(super) async fn whole(
        &self,
        outgoing: Outgoing,
        client: Option<ApiVersion>,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), ApiError> {
        let (status, content) = self.buffered(outgoing, client, patience).await?;
        Ok((status, content.into_bytes()))
    }

    /// Sends a request and reads the JSON of the response.
    ///
    /// # Errors
    /// [`ApiError::Engine`], also for an error of the engine, with its message.
    pub(super) async fn json(
        &self,
        outgoing: Outgoing,
        client: Option<ApiVersion>,
        patience: Duration,
    ) -> Result<Value, ApiError> {
        let (_, content) = self.buffered(outgoing, client, patience).await?;
        content
            .json()
            .map_err(|error| self.protocol(error.to_string()))
    }

    async fn buffered(
        &self,
        outgoing: Outgoing,
        client: Option<ApiVersion>,
        patience: Duration,
    ) -> Result<(StatusCode, Buffered), ApiError> {
        let path = outgoing.path.clone();
        let kind = ResponseKind::of(&outgoing.method, &path);
        let response = self.send(outgoing, client, patience).await?;
        let status = response.status();
        let limit = patience.max(LOOKUP);
        let reading = self.engine.read(response, kind, &path);
        let read = tokio::time::timeout(limit, reading).await;
        let read = read.unwrap_or_else(|_| {
            Err(EngineError::Deadline {
                endpoint: self.engine.endpoint().to_string(),
                waiting_for: path.clone(),
                limit,
            })
        });
        let content = read.map_err(|source| self.failed(source))?;
        if !status.is_success() {
            return Err(self.refused(status, content.as_ref(), &path));
        }
        Ok((status, content))
    }

    /// Reads why an engine refused.
    pub(super) async fn refusal(&self, response: Response<EngineBody>, path: &str) -> ApiError {
        let status = response.status();
        let reading = self.engine.read(response, ResponseKind::Error, path);
        match tokio::time::timeout(LOOKUP, reading).await {
            Ok(Ok(content)) => self.refused(status, content.as_ref(), path),
            Ok(Err(source)) => self.failed(source),
            Err(_) => self.refused(status, b"", path),
        }
    }

    fn refused(&self, status: StatusCode, content: &[u8], path: &str) -> ApiError {
        self.failed(EngineError::Refused {
            status: status.as_u16(),
            message: error_message(content),
            path: path.to_owned(),
        })
    }

    fn protocol(&self, detail: String) -> ApiError {
        self.failed(EngineError::Protocol {
            endpoint: self.engine.endpoint().to_string(),
            detail,
        })
    }

    pub(super) fn failed(&self, source: EngineError) -> ApiError {
        ApiError::engine(&self.about.name, source)
    }
}

/// An engine's answer for the client.
pub fn passed(answer: Response<EngineBody>) -> Served {
    let (mut head, body) = answer.into_parts();
    head.headers = end_to_end(&head.headers);
    head.version = http::Version::HTTP_11;
    head.extensions.clear();
    boxed(Response::from_parts(head, body))
}

/// Does something at the end of an answer, before the client knows of the end, and also when the
/// client is gone before.
pub fn at_end(answer: Served, then: impl FnOnce() + Send + 'static) -> Served {
    answer.map(|body| {
        let ending = Ending {
            body,
            then: Some(Box::new(then)),
        };
        ending.boxed_unsync()
    })
}

struct Ending {
    body: Body,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Ending {
    fn end(&mut self) {
        if let Some(then) = self.then.take() {
            then();
        }
    }
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.then.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the headers without those that belong to one connection only.
pub fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter();
    let named = named.filter_map(|names| names.to_str().ok());
    let named: Vec<String> = named
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let mut headers = headers.clone();
    for name in &named {
        headers.remove(name.as_str());
    }
    if is_chunked {
        // A length beside chunks is a lie that engines must not see.
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use rmachine_engine::{ApiWindow, Engine, EngineEndpoint};

    use super::*;
    use crate::cluster::About;

    pub(in crate::api) fn node(oldest: &str, newest: &str) -> NodeEngine {
        let endpoint = EngineEndpoint::without_tls("tcp://127.0.0.1:1").unwrap();
        let about = About {
            id: "ID".to_owned(),
            name: "node-1".to_owned(),
            addr: "127.0.0.1:1".into(),
            ip: "127.0.0.1".to_owned(),
            cpus: 1,
            memory: 1,
            labels: BTreeMap::new(),
            version: "20.10.24".to_owned(),
            skew: 0,
            api: ApiWindow {
                oldest: oldest.parse().unwrap(),
                newest: newest.parse().unwrap(),
            },
        };
        NodeEngine {
            engine: Arc::new(Engine::new(endpoint, LOOKUP)),
            about: Arc::new(about),
            is_healthy: true,
        }
    }

    #[test]
    fn each_engine_hears_a_version_that_it_speaks() {
        let node = node("1.24", "1.41");
        for (client, path) in [
            (Some("1.12"), "/v1.24/x?a=b"),
            (Some("1.40"), "/v1.40/x?a=b"),
            (Some("1.51"), "/v1.41/x?a=b"),
            (None, "/v1.41/x?a=b"),
        ] {
            let client = client.map(|version| version.parse().unwrap());
            let outgoing = Outgoing::new(Method::GET, "/x").query(Some("a=b"));
            let request = outgoing.request(&node, client).unwrap();
            assert_eq!(request.uri(), path);
        }
    }

    #[test]
    fn what_belongs_to_the_clients_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("host", "manager"),
            ("expect", "100-continue"),
            ("x-registry-auth", "secret"),
            ("user-agent", "docker"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let outgoing = Outgoing::new(Method::POST, "/x").headers(&headers);
        let request = outgoing.request(&node("1.24", "1.41"), None).unwrap();
        let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["user-agent", "x-registry-auth"]);
    }

    #[tokio::test]
    async fn the_end_is_noticed_before_it_is_told() {
        let (told, ended) = std::sync::mpsc::channel();
        let answer = at_end(Response::new(full("x")), move || told.send(()).unwrap());
        assert!(ended.try_recv().is_err());
        answer.into_body().collect().await.unwrap();
        ended.try_recv().unwrap();
        let (told, ended) = std::sync::mpsc::channel();
        drop(at_end(Response::new(full("x")), move || {
            told.send(()).unwrap()
        }));
        ended.try_recv().unwrap();
    }

    #[test]
    fn refusals_are_read_in_both_forms() {
        let node = node("1.24", "1.41");
        for content in [&b"{\"message\":\"in use\"}\n"[..], b"in use\n"] {
            let error = node.refused(StatusCode::CONFLICT, content, "/x");
            assert_eq!(error.status(), StatusCode::CONFLICT);
            assert_eq!(error.to_string(), "in use");
        }
    }
}
