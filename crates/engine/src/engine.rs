use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue, InvalidHeaderValue};
use http::response::Parts;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::connection::{Connection, broken};
use crate::deadline::Deadline;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::request::{json, request};
use crate::response::{self, Buffered, InvalidJson, ReadError, ResponseBudget, ResponseKind};
use crate::{
    ApiVersion, ApiWindow, Body, EngineBody, EngineEndpoint, EngineError, Ping, VersionInfo, full,
};

/// How long nothing may move while something is streamed: a build's step or an import says nothing
/// until it is done.
const SILENCE: Duration = Duration::from_secs(900);

/// Docker's header for the login of a registry.
const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// An engine. Nothing is connected before the first call.
///
/// Connections are kept from call to call; calls made at the same time have their own.
pub struct Engine {
    pub(crate) endpoint: EngineEndpoint,
    pub(crate) limit: Duration,
    pub(crate) pool: Arc<Pool>,
    budget: ResponseBudget,
    agreed: Mutex<Option<ApiVersion>>,
}

impl Engine {
    /// The engine at an endpoint; each call may take this long.
    pub fn new(endpoint: EngineEndpoint, limit: Duration) -> Self {
        Self::with_budget(endpoint, limit, ResponseBudget::default())
    }

    /// The engine at an endpoint, whose buffered responses count against a budget that it shares
    /// with other values for the same engine.
    pub fn with_budget(endpoint: EngineEndpoint, limit: Duration, budget: ResponseBudget) -> Self {
        Self {
            endpoint,
            limit,
            budget,
            pool: Arc::default(),
            agreed: Mutex::new(None),
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &EngineEndpoint {
        &self.endpoint
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
        let version = serde_json::from_slice(body.as_ref());
        version.map_err(|error| self.invalid_json(&error.into()))
    }

    /// Asks which versions of the API the engine speaks, and agrees anew on the one of the calls
    /// that follow: an engine that starts again may be another version.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn api_version(&self) -> Result<ApiWindow, EngineError> {
        let version = self.version().await?;
        self.api_version_of(&version)
    }

    /// Agrees on a version of the API with what the engine has [told](Self::version).
    ///
    /// # Errors
    /// [`EngineError::TooOld`], or [`EngineError::Protocol`] when it told no versions.
    pub fn api_version_of(&self, version: &VersionInfo) -> Result<ApiWindow, EngineError> {
        let window = version.window().map_err(|error| {
            EngineError::protocol(&self.endpoint, &format!("its version: {error}"))
        })?;
        self.agree(window.newest)?;
        Ok(window)
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
        body.json().map_err(|error| self.invalid_json(&error))
    }

    /// Reads the body of a response to [`send`](Self::send) into memory. `path` is that of the
    /// request.
    ///
    /// # Errors
    /// [`EngineError::Protocol`] where it breaks off or is longer than a response of its kind.
    pub async fn read(
        &self,
        response: Response<EngineBody>,
        kind: ResponseKind,
        path: &str,
    ) -> Result<Buffered, EngineError> {
        let kind = kind.with_status(response.status());
        let body = response.into_body();
        let read = response::read(body, kind, &self.budget).await;
        read.map_err(|error| self.unreadable(path, error))
    }

    /// Sends a request of the API and returns the bytes that come back.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn bytes(&self, method: Method, path: &str) -> Result<Bytes, EngineError> {
        let path = self.versioned(path).await?;
        let (_, body) = self.exchange(method, &path, None).await?;
        Ok(body.into_bytes())
    }

    /// Sends a body as it comes and hands on each line of progress that the engine answers with.
    ///
    /// The limit holds for the connection; after that it is enough that something moves every 15
    /// minutes, in either direction.
    ///
    /// # Errors
    /// Any [`EngineError`]; [`EngineError::Refused`] also for an error in a line of progress.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
        on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_str(content_type));
        let headers = [content_type];
        self.streamed(method, path, headers, body, on_line).await
    }

    /// Lets the engine pull an image, with the login for its registry where it takes one: the JSON
    /// of Docker's `AuthConfig` in base64, for URLs.
    ///
    /// # Errors
    /// As [`Engine::stream`].
    pub async fn pull(
        &self,
        name: &str,
        tag: &str,
        registry_auth: Option<&str>,
        on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let path = form_urlencoded::Serializer::new("/images/create?".to_owned())
            .append_pair("fromImage", name)
            .append_pair("tag", tag)
            .finish();
        let auth = registry_auth.map(|auth| (REGISTRY_AUTH, HeaderValue::from_str(auth)));
        self.streamed(Method::POST, &path, auth, full(Bytes::new()), on_line)
            .await
    }

    async fn streamed(
        &self,
        method: Method,
        path: &str,
        headers: impl IntoIterator<Item = (HeaderName, Result<HeaderValue, InvalidHeaderValue>)>,
        body: Body,
        mut on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let path = self.versioned(path).await?;
        let moved = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&moved);
        let body = body.map_frame(move |frame| {
            count.fetch_add(1, Ordering::Relaxed);
            frame
        });
        let body = body.boxed_unsync();
        let mut request = request(&self.endpoint, method, &path, None, body)?;
        for (name, value) in headers {
            let value =
                value.map_err(|error| EngineError::protocol(&self.endpoint, &error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        let deadline = Deadline::after(self.limit, &self.endpoint);
        // What is kept may turn out to be closed, and a body that is read cannot be sent twice.
        let mut connection = Connection::open(&self.endpoint, &deadline).await?;
        let sending = async {
            let sent = connection.send(&self.endpoint, request).await;
            sent.map_err(|unanswered| unanswered.error)
        };
        let mut response = self.while_moving(&path, &moved, SILENCE, sending).await?;
        if response::is_error(response.status()) {
            let error = self.whole(response, ResponseKind::Error, &path);
            let (head, body) = self.while_moving(&path, &moved, SILENCE, error).await?;
            return Err(refusal(&path, &head, body.as_ref()));
        }
        let mut progress = Progress::of(&self.endpoint, &path);
        loop {
            let frame = async { response.body_mut().frame().await.transpose() };
            let frame = async { frame.await.map_err(|error| self.cut_off(error)) };
            let Some(frame) = self.while_moving(&path, &moved, SILENCE, frame).await? else {
                break;
            };
            // A frame without data holds trailers.
            if let Ok(chunk) = frame.into_data() {
                progress.push(&chunk, &mut on_line)?;
            }
        }
        progress.finish(&mut on_line)?;
        self.pool.keep(connection);
        Ok(())
    }

    /// Puts the agreed version before a path; agrees on one first if need be.
    ///
    /// An engine that has left our newest version behind says so itself, in words for a person.
    async fn versioned(&self, path: &str) -> Result<String, EngineError> {
        let agreed = *self.agreed();
        let agreed = match agreed {
            Some(agreed) => agreed,
            None => {
                let theirs = self.ping().await?.api_version;
                self.agree(theirs.unwrap_or(ApiVersion::OLDEST))?
            }
        };
        Ok(format!("/v{agreed}{path}"))
    }

    fn agree(&self, theirs: ApiVersion) -> Result<ApiVersion, EngineError> {
        let agreed = theirs.agreed();
        *self.agreed() = agreed;
        agreed.ok_or_else(|| EngineError::TooOld {
            endpoint: self.endpoint.to_string(),
            theirs,
            oldest: ApiVersion::OLDEST,
        })
    }

    fn agreed(&self) -> MutexGuard<'_, Option<ApiVersion>> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request and its whole answer, within the limit.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Parts, Buffered), EngineError> {
        let deadline = Deadline::after(self.limit, &self.endpoint);
        let kind = ResponseKind::of(&method, path);
        loop {
            let kept = self.pool.take();
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&self.endpoint, &deadline).await?,
            };
            let request = json(&self.endpoint, method.clone(), path, body)?;
            let sending = async { Ok(connection.send(&self.endpoint, request).await) };
            let response = match deadline.bound(path, sending).await? {
                Ok(response) => response,
                // The engine may have closed an idle connection. What it may have seen is asked
                // again only where asking twice does no harm.
                Err(lost) if was_kept && (lost.unsent.is_some() || method.is_safe()) => continue,
                Err(lost) => return Err(lost.error),
            };
            let reading = self.whole(response, kind, path);
            let (head, body) = deadline.bound(path, reading).await?;
            if !body.is_truncated {
                self.pool.keep(connection);
            }
            if response::is_error(head.status) {
                return Err(refusal(path, &head, body.as_ref()));
            }
            return Ok((head, body));
        }
    }

    async fn whole(
        &self,
        response: Response<Incoming>,
        kind: ResponseKind,
        path: &str,
    ) -> Result<(Parts, Buffered), EngineError> {
        let (head, body) = response.into_parts();
        let kind = kind.with_status(head.status);
        let read = response::read(body, kind, &self.budget).await;
        Ok((head, read.map_err(|error| self.unreadable(path, error))?))
    }

    /// Waits as long as the request's body moves on, and then for the time of silence.
    pub(crate) async fn while_moving<T>(
        &self,
        path: &str,
        moved: &AtomicU64,
        silence: Duration,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let mut work = pin!(work);
        loop {
            let before = moved.load(Ordering::Relaxed);
            let until = Deadline::after(silence, &self.endpoint);
            let waited = until.bound(path, work.as_mut()).await;
            let moved_on = moved.load(Ordering::Relaxed) != before;
            match waited {
                Err(EngineError::Deadline { .. }) if moved_on => {}
                done => return done,
            }
        }
    }

    pub(crate) fn cut_off(&self, error: hyper::Error) -> EngineError {
        broken(&self.endpoint, io::Error::other(error))
    }

    fn unreadable(&self, path: &str, error: ReadError<hyper::Error>) -> EngineError {
        match error {
            ReadError::Broken(error) => self.cut_off(error),
            ReadError::TooLong { limit } => {
                let detail = format!("the response to {path} is longer than {limit} bytes");
                EngineError::protocol(&self.endpoint, &detail)
            }
        }
    }

    fn invalid_json(&self, error: &InvalidJson) -> EngineError {
        EngineError::protocol(&self.endpoint, &error.to_string())
    }
}

/// The error that a response tells: `message` of its JSON, else the text as it is.
fn refusal(path: &str, head: &Parts, body: &[u8]) -> EngineError {
    EngineError::Refused {
        status: head.status.as_u16(),
        message: error_message(body),
        path: path.to_owned(),
    }
}

/// The message in the body of an error: `message` of its JSON, else the text as it is.
pub fn error_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Message { message }) => message.trim().to_owned(),
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}
