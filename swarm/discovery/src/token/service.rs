use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use tokio::time::Instant;

use super::clusters::{Clusters, Denied, Saved};
use crate::serving::{self, Reply, seconds, text};
use crate::state_file::{self, StateFile};
use crate::{DiscoveryError, Entry};

/// An entry is a host name and a port.
const LONGEST_BODY: usize = 512;

/// How long a member stays that does not say it.
const DEFAULT_TTL: Duration = Duration::from_secs(180);

/// The original's hosted service, spoken to in the same way:
///
/// - `POST /v1/clusters` makes a cluster, and answers with its token
/// - `POST /v1/clusters/TOKEN?ttl=SECONDS` registers the `host:port` of the body
/// - `GET /v1/clusters/TOKEN` answers with the members, a JSON array of texts
/// - `DELETE /v1/clusters/TOKEN` forgets the cluster
pub struct TokenService {
    clusters: Arc<Mutex<Clusters>>,
    file: StateFile,
}

impl TokenService {
    /// A service that keeps what it knows in a file, or in memory alone. Members that the file
    /// knows stay for their whole time anew.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or holds something else.
    pub fn open(file: Option<PathBuf>) -> Result<Self, DiscoveryError> {
        let saved: Saved = state_file::read(file.as_deref())?;
        let clusters = Clusters::restored(&saved, Instant::now())
            .map_err(|detail| state_file::nonsense(file.as_deref(), detail))?;
        let revision = clusters.revision();
        let clusters = Arc::new(Mutex::new(clusters));
        let current = Arc::clone(&clusters);
        let snapshot = move || {
            let clusters = lock(&current);
            let content = serde_json::to_vec(&clusters.saved());
            (clusters.revision(), content.map_err(std::io::Error::from))
        };
        Ok(Self {
            file: StateFile::new(file, revision, snapshot),
            clusters,
        })
    }

    /// Writes changes that are not on disk yet.
    ///
    /// # Errors
    /// [`DiscoveryError::File`].
    pub async fn flush(&self) -> Result<(), DiscoveryError> {
        self.file.flush().await
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Reply
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().trim_end_matches('/');
        let rest = path.strip_prefix("/v1/clusters");
        let token = rest.map(|rest| rest.strip_prefix('/'));
        let answered = match (head.method.as_str(), token) {
            ("POST", Some(None)) if rest == Some("") => self.create().await,
            ("GET", Some(Some(token))) => self.members(token).await,
            ("POST", Some(Some(token))) => self.register(token, head.uri.query(), body).await,
            ("DELETE", Some(Some(token))) => self.remove(token).await,
            (_, Some(Some(_))) => Ok(not_allowed()),
            (_, Some(None)) if rest == Some("") => Ok(not_allowed()),
            _ => Ok(text(StatusCode::NOT_FOUND, "404 page not found")),
        };
        answered.unwrap_or_else(|refusal| *refusal)
    }

    async fn create(&self) -> Result<Reply, Box<Reply>> {
        let mut token = String::with_capacity(32);
        for byte in rand::random::<[u8; 16]>() {
            // A string takes whatever is written to it.
            let _ = write!(token, "{byte:02x}");
        }
        let created = self.clusters().create(&token, Instant::now());
        self.saved(created).await?;
        Ok(text(StatusCode::CREATED, &token))
    }

    async fn register<B>(
        &self,
        token: &str,
        query: Option<&str>,
        body: B,
    ) -> Result<Reply, Box<Reply>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ttl = seconds(query, "ttl", DEFAULT_TTL)?;
        let odd = || Box::new(text(StatusCode::BAD_REQUEST, "the body is no host:port"));
        let body = Limited::new(body, LONGEST_BODY).collect().await;
        let body = body.map_err(|_| odd())?.to_bytes();
        let entry = std::str::from_utf8(&body).map_err(|_| odd())?;
        let entry: Entry = entry.parse().map_err(|_| odd())?;
        let registered = self.clusters().register(token, entry, ttl, Instant::now());
        self.saved(registered).await?;
        Ok(text(StatusCode::OK, "OK"))
    }

    async fn members(&self, token: &str) -> Result<Reply, Box<Reply>> {
        let members = self.clusters().members(token, Instant::now());
        Ok(serving::json(&members.map_err(refusal)?.into()))
    }

    async fn remove(&self, token: &str) -> Result<Reply, Box<Reply>> {
        let removed = self.clusters().remove(token);
        self.saved(removed).await?;
        Ok(text(StatusCode::OK, "OK"))
    }

    /// Returns when a change is on disk.
    async fn saved(&self, done: Result<(), Denied>) -> Result<(), Box<Reply>> {
        done.map_err(refusal)?;
        let revision = self.clusters().revision();
        let saved = self.file.save(revision).await;
        saved.map_err(|error| {
            tracing::error!("the clusters could not be saved: {error}");
            let sentence = "the clusters could not be saved";
            Box::new(text(StatusCode::INTERNAL_SERVER_ERROR, sentence))
        })
    }

    fn clusters(&self) -> MutexGuard<'_, Clusters> {
        lock(&self.clusters)
    }
}

fn lock(clusters: &Mutex<Clusters>) -> MutexGuard<'_, Clusters> {
    clusters.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(denied: Denied) -> Box<Reply> {
    Box::new(match denied {
        Denied::NoCluster => text(StatusCode::NOT_FOUND, "there is no such cluster"),
        Denied::TooMany => text(
            StatusCode::INSUFFICIENT_STORAGE,
            "there are too many already",
        ),
    })
}

fn not_allowed() -> Reply {
    text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    async fn ask(
        service: &TokenService,
        method: &str,
        path: &str,
        body: &str,
    ) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        let body = Full::new(Bytes::from(body.to_owned()));
        let answer = service.handle(request.body(body).unwrap()).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn answers_as_the_hosted_service_did() {
        let service = TokenService::open(None).unwrap();
        let (status, token) = ask(&service, "POST", "/v1/clusters", "").await;
        assert_eq!(status, StatusCode::CREATED);
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let cluster = format!("/v1/clusters/{token}");
        let long = format!("{}:1", "a".repeat(LONGEST_BODY));
        let with_ttl = format!("{cluster}?ttl=20");
        let odd_ttl = format!("{cluster}?ttl=20s");
        let deeper = format!("{cluster}/{token}");
        for (method, path, body, status, said) in [
            ("GET", cluster.as_str(), "", 200, "[]"),
            ("POST", &with_ttl, "10.0.0.2:2376", 200, "OK"),
            ("POST", &cluster, "[fd00::1]:2376", 200, "OK"),
            ("POST", &cluster, "10.0.0.2:2376", 200, "OK"),
            (
                "GET",
                &cluster,
                "",
                200,
                r#"["10.0.0.2:2376","[fd00::1]:2376"]"#,
            ),
            ("POST", &odd_ttl, "a:1", 400, "ttl is no number of seconds"),
            ("POST", &cluster, "a", 400, "the body is no host:port"),
            ("POST", &cluster, &long, 400, "the body is no host:port"),
            (
                "POST",
                "/v1/clusters/typo",
                "a:1",
                404,
                "there is no such cluster",
            ),
            (
                "GET",
                "/v1/clusters/typo",
                "",
                404,
                "there is no such cluster",
            ),
            ("GET", &deeper, "", 404, "there is no such cluster"),
            ("PUT", &cluster, "", 405, "method not allowed"),
            ("GET", "/v1/clusters", "", 405, "method not allowed"),
            ("POST", "/v1/clustersandmore", "", 404, "404 page not found"),
            ("GET", "/", "", 404, "404 page not found"),
            ("DELETE", &cluster, "", 200, "OK"),
            ("DELETE", &cluster, "", 404, "there is no such cluster"),
        ] {
            let answered = ask(&service, method, path, body).await;
            assert_eq!(
                (answered.0.as_u16(), answered.1.as_str()),
                (status, said),
                "{method} {path}"
            );
        }
    }

    #[tokio::test]
    async fn something_else_is_no_service() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clusters");
        for content in ["", "[]", r#"{"t":{"a":1}}"#] {
            std::fs::write(&file, content).unwrap();
            let opened = TokenService::open(Some(file.clone()));
            assert!(
                matches!(opened, Err(DiscoveryError::File { .. })),
                "{content}"
            );
        }
    }
}
