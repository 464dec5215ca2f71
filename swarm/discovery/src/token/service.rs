use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;

use super::clusters::{Clusters, Denied};
use crate::{DiscoveryError, Entry};

/// An entry is a host name and a port.
const LONGEST_BODY: usize = 512;

/// The entries' time where nobody says any, in seconds.
const DEFAULT_TTL: u64 = 180;

/// The original's hosted service, spoken to in the same way:
///
/// - `POST /v1/clusters` makes a cluster, and answers with its token
/// - `POST /v1/clusters/TOKEN?ttl=SECONDS` registers the `host:port` of the body
/// - `GET /v1/clusters/TOKEN` answers with the members, a JSON array of texts
/// - `DELETE /v1/clusters/TOKEN` forgets the cluster
pub struct TokenService {
    clusters: Mutex<Clusters>,
    file: Option<PathBuf>,
}

impl TokenService {
    /// A service that keeps what it knows in a file, or in memory alone.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or holds something else.
    pub fn open(file: Option<PathBuf>) -> Result<Self, DiscoveryError> {
        let clusters = match &file {
            None => Clusters::default(),
            Some(path) => read(path).map_err(|source| unusable(path, source))?,
        };
        Ok(Self {
            clusters: Mutex::new(clusters),
            file,
        })
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().trim_end_matches('/');
        let Some(rest) = path.strip_prefix("/v1/clusters") else {
            return text(StatusCode::NOT_FOUND, "404 page not found");
        };
        let token = rest.strip_prefix('/').filter(|token| !token.contains('/'));
        let ttl = ttl(head.uri.query());
        match (head.method.as_str(), token) {
            ("POST", None) if rest.is_empty() => self.create(),
            ("GET", Some(token)) => self.members(token),
            ("POST", Some(token)) => {
                let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
                    return text(StatusCode::BAD_REQUEST, "the body is no host:port");
                };
                let mut entry = String::new();
                let read =
                    std::io::Read::read_to_string(&mut body.aggregate().reader(), &mut entry);
                match (read, entry.parse::<Entry>(), ttl) {
                    (Ok(_), Ok(entry), Some(ttl)) => self.register(token, &entry, ttl),
                    (_, _, None) => text(StatusCode::BAD_REQUEST, "ttl is no number of seconds"),
                    _ => text(StatusCode::BAD_REQUEST, "the body is no host:port"),
                }
            }
            ("DELETE", Some(token)) => {
                let removed = self.clusters().remove(token);
                self.saved(removed, StatusCode::OK, "OK")
            }
            (_, Some(_)) | (_, None) if token.is_some() || rest.is_empty() => {
                text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    fn create(&self) -> Response<Full<Bytes>> {
        let mut token = String::with_capacity(32);
        for byte in rand::random::<[u8; 16]>() {
            // A string takes whatever is written to it.
            let _ = write!(token, "{byte:02x}");
        }
        let created = self.clusters().create(&token, now());
        self.saved(created, StatusCode::CREATED, &token)
    }

    fn register(&self, token: &str, entry: &Entry, ttl: u64) -> Response<Full<Bytes>> {
        let registered = self.clusters().register(token, entry, ttl, now());
        self.saved(registered, StatusCode::OK, "OK")
    }

    fn members(&self, token: &str) -> Response<Full<Bytes>> {
        match self.clusters().members(token, now()) {
            Ok(members) => {
                let members = serde_json::Value::from(members).to_string();
                let mut answer = text(StatusCode::OK, &members);
                let json = HeaderValue::from_static("application/json");
                answer.headers_mut().insert(CONTENT_TYPE, json);
                answer
            }
            Err(denied) => refusal(denied),
        }
    }

    /// Answers only when what was done is on disk.
    fn saved(
        &self,
        done: Result<(), Denied>,
        status: StatusCode,
        body: &str,
    ) -> Response<Full<Bytes>> {
        if let Err(denied) = done {
            return refusal(denied);
        }
        let written = match &self.file {
            Some(path) => write(path, &self.clusters()),
            None => Ok(()),
        };
        match written {
            Ok(()) => text(status, body),
            Err(error) => {
                tracing::error!("the clusters could not be saved: {error}");
                let message = "the clusters could not be saved";
                text(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }

    fn clusters(&self) -> MutexGuard<'_, Clusters> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(denied: Denied) -> Response<Full<Bytes>> {
    match denied {
        Denied::NoCluster => text(StatusCode::NOT_FOUND, "there is no such cluster"),
        Denied::TooMany => text(
            StatusCode::INSUFFICIENT_STORAGE,
            "there are too many already",
        ),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_owned())));
    *answer.status_mut() = status;
    answer
}

/// The query's `ttl`; `None` when it is no number.
fn ttl(query: Option<&str>) -> Option<u64> {
    let given = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("ttl="));
    given.map_or(Some(DEFAULT_TTL), |ttl| ttl.parse().ok())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn read(path: &Path) -> std::io::Result<Clusters> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Clusters::default()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, clusters: &Clusters) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
    file.write_all(&serde_json::to_vec(clusters)?)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn unusable(path: &Path, source: std::io::Error) -> DiscoveryError {
    DiscoveryError::File {
        path: path.to_owned(),
        source,
    }
}
