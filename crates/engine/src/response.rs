//! Reads responses into memory: with a limit for each kind of response, and a budget for each
//! engine.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Memory that buffered responses of one engine may take at the same time, in KiB.
const BUDGET_KIB: usize = 64 * KIB;

/// How much more memory a parsed response takes than its text; a response of known length reserves
/// this many times its length.
const PARSED_FACTOR: usize = 8;

/// Bytes of text for each JSON value that a response may hold: `0,` is two bytes of text and 32
/// bytes in memory, while items of real lists take 20 bytes for each value or more.
const BYTES_PER_VALUE: usize = 64;

/// Kind of a response that is read into memory. It determines how long the response may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResponseKind {
    /// `/_ping`.
    Ping,
    /// `/info` and `/version`.
    Info,
    /// One object, the output of a command, or the result of an action.
    Object,
    /// All objects of a kind, or the disk usage.
    List,
    /// The message of an error.
    Error,
}

impl ResponseKind {
    /// The kind of a successful response to a request; the path may have a version and a query.
    pub fn of(method: &Method, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let path = match path.strip_prefix("/v").and_then(|rest| rest.find('/')) {
            Some(end) if path.starts_with("/v1.") => path.get(end + "/v".len()..).unwrap_or(path),
            _ => path,
        };
        match path {
            "/_ping" => Self::Ping,
            "/info" | "/version" => Self::Info,
            "/containers/json" | "/images/json" | "/images/search" | "/volumes" | "/networks"
            | "/nodes" | "/services" | "/tasks" | "/secrets" | "/configs" | "/plugins"
            | "/system/df"
                if *method == Method::GET =>
            {
                Self::List
            }
            _ if path.ends_with("/prune") => Self::List,
            _ => Self::Object,
        }
    }

    /// The longest body that is read, in bytes.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Ping | Self::Error => 64 * KIB,
            Self::Info => 4 * MIB,
            Self::Object => 8 * MIB,
            Self::List => 32 * MIB,
        }
    }

    /// The most JSON values that a parsed body may hold.
    const fn max_values(self) -> usize {
        self.max_bytes() / BYTES_PER_VALUE
    }

    /// The kind where the status says that the engine did not do what it was asked.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        if is_error(status) { Self::Error } else { self }
    }
}

/// Whether a status is that of an error.
pub(crate) fn is_error(status: StatusCode) -> bool {
    !status.is_success() && status != StatusCode::NOT_MODIFIED
}

/// Memory for the buffered responses of one engine, shared by all connections to it. Clones share
/// the budget.
#[derive(Clone)]
pub struct ResponseBudget(Arc<Semaphore>);

impl Default for ResponseBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_KIB)))
    }
}

impl ResponseBudget {
    /// Waits until a response of this length, if it is known, fits into the budget.
    async fn reserve(
        &self,
        length: Option<u64>,
        kind: ResponseKind,
    ) -> Option<OwnedSemaphorePermit> {
        let most = kind.max_bytes();
        let length = length.and_then(|length| usize::try_from(length).ok());
        let bytes = length.map_or(most, |length| {
            length.saturating_mul(PARSED_FACTOR).min(most)
        });
        let permits = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        Arc::clone(&self.0).acquire_many_owned(permits).await.ok()
    }
}

/// A response body in memory. It counts against the budget of its engine until it is dropped.
#[derive(Debug)]
pub struct Buffered {
    kind: ResponseKind,
    bytes: Bytes,
    /// The rest of an error's message was not read.
    pub(crate) is_truncated: bool,
    _reserved: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    /// The body as it was sent.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The body as JSON; `null` where it is empty.
    ///
    /// # Errors
    /// [`InvalidJson`].
    pub fn json(&self) -> Result<Value, InvalidJson> {
        if self.bytes.is_empty() {
            return Ok(Value::Null);
        }
        let limit = self.kind.max_values();
        let separators = self
            .bytes
            .iter()
            .filter(|byte| matches!(byte, b',' | b'[' | b'{'));
        if separators.count() > limit {
            return Err(InvalidJson::TooManyValues { limit });
        }
        Ok(serde_json::from_slice(&self.bytes)?)
    }
}

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A response that cannot be used as JSON.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJson {
    /// It is not JSON, or not of the expected form.
    #[error("the response is not the expected JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It holds more values than a response of its kind needs.
    #[error("the response has more than {limit} JSON values")]
    TooManyValues {
        /// The limit.
        limit: usize,
    },
}

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// It is longer than its limit.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection failed.
    #[error("{0}")]
    Broken(E),
}

/// Reads a response body of this kind. Of an error, what is longer than the limit is left out.
pub(crate) async fn read<B>(
    body: B,
    kind: ResponseKind,
    budget: &ResponseBudget,
) -> Result<Buffered, ReadError<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = kind.max_bytes();
    let length = body.size_hint().exact();
    let is_too_long = length.is_some_and(|length| length > limit as u64);
    if is_too_long && kind != ResponseKind::Error {
        return Err(ReadError::TooLong { limit });
    }
    let reserved = budget.reserve(length, kind).await;
    let (bytes, is_truncated) = read_prefix(body, limit).await.map_err(ReadError::Broken)?;
    if is_truncated && kind != ResponseKind::Error {
        return Err(ReadError::TooLong { limit });
    }
    Ok(Buffered {
        kind,
        bytes,
        is_truncated,
        _reserved: reserved,
    })
}

/// Reads a body of at most `limit` bytes into memory.
///
/// # Errors
/// [`ReadError`].
pub async fn read_bounded<B>(body: B, limit: usize) -> Result<Bytes, ReadError<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    match read_prefix(body, limit).await.map_err(ReadError::Broken)? {
        (bytes, false) => Ok(bytes),
        (_, true) => Err(ReadError::TooLong { limit }),
    }
}

/// The first `limit` bytes of a body, and whether there are more.
///
/// The data is copied: a frame may hold a single byte and keep the whole read buffer alive.
async fn read_prefix<B>(mut body: B, limit: usize) -> Result<(Bytes, bool), B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // A frame without data holds trailers.
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let left = limit - read.len();
        if let Some(prefix) = data.get(..left).filter(|_| data.len() > left) {
            read.extend_from_slice(prefix);
            return Ok((read.freeze(), true));
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok((data, false));
        }
        read.extend_from_slice(&data);
    }
    Ok((read.freeze(), false))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn chunks(chunks: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    fn buffered(text: &str, kind: ResponseKind) -> Buffered {
        Buffered {
            kind,
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            is_truncated: false,
            _reserved: None,
        }
    }

    #[test]
    fn response_kind_follows_from_the_path() {
        for (method, path, kind) in [
            (Method::GET, "/_ping", ResponseKind::Ping),
            (Method::GET, "/version", ResponseKind::Info),
            (Method::GET, "/v1.41/info", ResponseKind::Info),
            (
                Method::GET,
                "/v1.41/containers/json?all=1",
                ResponseKind::List,
            ),
            (Method::GET, "/volumes", ResponseKind::List),
            (Method::POST, "/v1.41/volumes/prune", ResponseKind::List),
            (Method::GET, "/volumes/json", ResponseKind::Object),
            (
                Method::GET,
                "/v1.41/containers/a/json",
                ResponseKind::Object,
            ),
            (
                Method::POST,
                "/v1.41/containers/create",
                ResponseKind::Object,
            ),
            (Method::GET, "/v1", ResponseKind::Object),
        ] {
            assert_eq!(ResponseKind::of(&method, path), kind, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn read_bounded_stops_at_the_limit() {
        for (parts, limit, expected) in [
            (&["ab", "c"][..], 3, Some("abc")),
            (&["ab", "c"], 2, None),
            (&["abc"], 2, None),
            (&[], 0, Some("")),
            (&["", "a", ""], 1, Some("a")),
        ] {
            let read = read_bounded(chunks(parts), limit).await.ok();
            assert_eq!(read.as_deref(), expected.map(str::as_bytes), "{parts:?}");
        }
    }

    #[tokio::test]
    async fn read_rejects_a_length_beyond_the_limit_before_reading() {
        let body = Full::new(Bytes::from(vec![b'x'; ResponseKind::Ping.max_bytes() + 1]));
        let read = read(body.clone(), ResponseKind::Ping, &ResponseBudget::default()).await;
        assert!(matches!(read, Err(ReadError::TooLong { .. })));
        let read = super::read(body, ResponseKind::Error, &ResponseBudget::default()).await;
        let read = read.unwrap();
        assert!(read.is_truncated);
        assert_eq!(read.as_ref().len(), ResponseKind::Error.max_bytes());
    }

    #[tokio::test]
    async fn budget_admits_two_lists_at_a_time() {
        let budget = ResponseBudget::default();
        let first = budget.reserve(None, ResponseKind::List).await;
        let second = budget.reserve(None, ResponseKind::List).await;
        let third = budget.reserve(Some(1), ResponseKind::Object);
        let mut third = std::pin::pin!(third);
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(second);
        assert!(third.await.is_some());
        drop(first);
    }

    #[test]
    fn json_with_too_many_values_is_rejected() {
        let kind = ResponseKind::Ping;
        assert_eq!(buffered("", kind).json().unwrap(), Value::Null);
        assert_eq!(
            buffered("[1]", kind).json().unwrap(),
            serde_json::json!([1])
        );
        assert!(matches!(
            buffered("{", kind).json(),
            Err(InvalidJson::Syntax(_))
        ));
        let many = format!("[{}0]", "0,".repeat(kind.max_values()));
        let many = buffered(&many, kind).json();
        assert!(matches!(many, Err(InvalidJson::TooManyValues { .. })));
    }
}
