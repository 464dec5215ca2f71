use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::connection::{Connection, broken};
use crate::{ApiVersion, Body, EngineEndpoint, EngineError, Ping, VersionInfo, full};

/// How long a streamed answer may be silent: a build's step or an import says nothing until it is
/// done.
const SILENCE: Duration = Duration::from_secs(900);

/// The longest line of progress that is kept.
const LONGEST_LINE: usize = 1024 * 1024;

/// An engine. Nothing is connected before the first call.
///
/// Calls on one value take turns on one connection, which is kept between them.
pub struct Engine {
    endpoint: EngineEndpoint,
    limit: Duration,
    kept: Mutex<Option<Connection>>,
    agreed: OnceCell<ApiVersion>,
}

impl Engine {
    /// The engine at an endpoint; each call may take this long.
    pub fn new(endpoint: EngineEndpoint, limit: Duration) -> Self {
        Self {
            endpoint,
            limit,
            kept: Mutex::new(None),
            agreed: OnceCell::new(),
        }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn ping(&self) -> Result<Ping, EngineError> {
        let (head, _) = self.exchange(Method::GET, "/_ping", None).await?;
        let text = |name: &str| head.headers.get(name)?.to_str().ok();
        Ok(Ping {
            api_version: text("Api-Version").and_then(|version| version.parse().ok()),
            os: text("OSType").map(str::to_owned),
        })
    }

    /// Asks for the engine's version. Needs no agreement on an API version, so any engine answers.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn version(&self) -> Result<VersionInfo, EngineError> {
        let (_, body) = self.exchange(Method::GET, "/version", None).await?;
        serde_json::from_slice(&body).map_err(|error| self.not_json(&error))
    }

    /// Asks how the engine is set up.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn info(&self) -> Result<Value, EngineError> {
        self.call(Method::GET, "/info", None).await
    }

    /// Sends a request of the API and reads the JSON that comes back; `null` where nothing does.
    ///
    /// The path starts with `/` and has no version; the version agreed upon is put before it.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, EngineError> {
        let path = self.versioned(path).await?;
        let (_, body) = self.exchange(method, &path, body).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| self.not_json(&error))
    }

    /// Sends a request of the API and returns the bytes that come back.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn bytes(&self, method: Method, path: &str) -> Result<Bytes, EngineError> {
        let path = self.versioned(path).await?;
        let (_, body) = self.exchange(method, &path, None).await?;
        Ok(body)
    }

    /// Sends a body as it comes and hands on each line of progress that the engine answers with.
    ///
    /// The limit holds for the connection; after that the engine may be silent for 15 minutes.
    ///
    /// # Errors
    /// Any [`EngineError`]; [`EngineError::Refused`] also for an error in a line of progress.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
        mut on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let path = self.versioned(path).await?;
        let request = self.request(method, &path, Some(content_type), body)?;
        let opening = Connection::open(&self.endpoint);
        let mut connection = self.within(self.limit, "connecting", opening).await?;
        let sending = connection.send(&self.endpoint, request);
        let response = self.within(SILENCE, &path, sending).await?;
        let response = self.accepted(&path, response).await?;
        let mut body = response.into_body();
        let mut lines = BytesMut::new();
        while let Some(chunk) = self.chunk(&path, &mut body).await? {
            lines.extend_from_slice(&chunk);
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line = lines.split_to(end + 1);
                self.progress(&path, &line, &mut on_line)?;
            }
            if lines.len() > LONGEST_LINE {
                return Err(self.protocol("a line of progress is too long"));
            }
        }
        self.progress(&path, &lines, &mut on_line)
    }

    /// Puts the agreed version before a path; agrees on one first if need be.
    async fn versioned(&self, path: &str) -> Result<String, EngineError> {
        let agreed = self.agreed.get_or_try_init(|| async {
            let theirs = self.ping().await?.api_version;
            let theirs = theirs.unwrap_or(ApiVersion::OLDEST);
            if theirs < ApiVersion::OLDEST {
                return Err(EngineError::TooOld {
                    endpoint: self.endpoint.to_string(),
                    theirs,
                    oldest: ApiVersion::OLDEST,
                });
            }
            Ok(theirs.min(ApiVersion::NEWEST))
        });
        Ok(format!("/v{}{path}", agreed.await?))
    }

    /// One request and its whole answer, within the limit.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(http::response::Parts, Bytes), EngineError> {
        let work = async {
            let mut kept = self.kept.lock().await;
            if let Some(mut connection) = kept.take().filter(Connection::is_open) {
                let request = self.json_request(method.clone(), path, body)?;
                let answer = connection.send(&self.endpoint, request).await;
                // The engine may have closed an idle connection. What it did not answer to is
                // asked again only where asking twice does no harm.
                if answer.is_ok() || !method.is_safe() {
                    let answer = self.whole(path, answer?).await?;
                    *kept = Some(connection);
                    return Ok(answer);
                }
            }
            let mut connection = Connection::open(&self.endpoint).await?;
            let request = self.json_request(method, path, body)?;
            let answer = connection.send(&self.endpoint, request).await?;
            let answer = self.whole(path, answer).await?;
            *kept = Some(connection);
            Ok(answer)
        };
        self.within(self.limit, path, work).await
    }

    async fn whole(
        &self,
        path: &str,
        response: Response<Incoming>,
    ) -> Result<(http::response::Parts, Bytes), EngineError> {
        let response = self.accepted(path, response).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| self.cut_off(error))?;
        Ok((head, body.to_bytes()))
    }

    /// Turns an answer that is an error into one.
    async fn accepted(
        &self,
        path: &str,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, EngineError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| self.cut_off(error))?.to_bytes();
        Err(EngineError::Refused {
            status: status.as_u16(),
            message: message(&body),
            path: path.to_owned(),
        })
    }

    async fn chunk(&self, path: &str, body: &mut Incoming) -> Result<Option<Bytes>, EngineError> {
        let next = async { body.frame().await.transpose() };
        let next = async { next.await.map_err(|error| self.cut_off(error)) };
        let frame = self.within(SILENCE, path, next).await?;
        // A frame without data holds trailers.
        Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    fn progress(
        &self,
        path: &str,
        line: &[u8],
        on_line: &mut impl FnMut(&Value),
    ) -> Result<(), EngineError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let line: Value = serde_json::from_slice(line).map_err(|error| self.not_json(&error))?;
        if let Some(message) = line["error"].as_str() {
            return Err(EngineError::Refused {
                status: line["errorDetail"]["code"]
                    .as_u64()
                    .and_then(|code| u16::try_from(code).ok())
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
                message: message.to_owned(),
                path: path.to_owned(),
            });
        }
        on_line(&line);
        Ok(())
    }

    fn json_request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Body>, EngineError> {
        match body {
            Some(body) => self.request(
                method,
                path,
                Some("application/json"),
                full(body.to_string()),
            ),
            None => self.request(method, path, None, full(Bytes::new())),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<Request<Body>, EngineError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.endpoint.authority())
            .header(
                header::USER_AGENT,
                concat!("rmachine/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request
            .body(body)
            .map_err(|error| self.protocol(&error.to_string()))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        waiting_for: &str,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(EngineError::Deadline {
                endpoint: self.endpoint.to_string(),
                waiting_for: waiting_for.to_owned(),
                limit,
            }),
        }
    }

    fn cut_off(&self, error: hyper::Error) -> EngineError {
        broken(&self.endpoint, std::io::Error::other(error))
    }

    fn not_json(&self, error: &serde_json::Error) -> EngineError {
        self.protocol(&format!("its answer is not the JSON expected: {error}"))
    }

    fn protocol(&self, detail: &str) -> EngineError {
        EngineError::Protocol {
            endpoint: self.endpoint.to_string(),
            detail: detail.to_owned(),
        }
    }
}

/// The engine's words: `message` of its JSON, else the text as it is.
fn message(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json["message"].as_str());
    match message {
        Some(message) => message.trim().to_owned(),
        None => String::from_utf8_lossy(body).trim().to_owned(),
    }
}
