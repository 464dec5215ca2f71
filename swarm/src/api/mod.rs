//! The Docker API of the cluster: what a client asks of one engine, answered by many.
//!
//! Start reading at [`Api::handle`] and at the rows of `ROUTES` in each group of handlers. What is
//! known of the cluster is answered at once; everything else goes on to an engine, streamed both
//! ways, in a version that this engine speaks.

mod answer;
mod body;
mod build;
mod call;
mod containers;
mod create;
mod error;
mod events;
mod exec;
mod fanout;
mod forward;
#[cfg(test)]
mod fuzz;
mod hijack;
mod image_name;
mod images;
mod info;
mod lines;
mod logins;
mod merge;
mod networks;
mod path;
mod pull;
mod query;
mod recent;
mod refused;
mod route;
mod system;
mod tree;
mod volumes;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use rmachine_engine::{ApiVersion, ApiWindow};

pub use containers::Provenance;
pub use error::{ApiError, Kind, NodeFailure};
pub use info::Host;
pub use path::encode;

use crate::cluster::{Cluster, NodeEngine};
use crate::listen::Served;
use build::Builds;
use call::Call;
use exec::Execs;
use logins::Logins;
use query::Query;
use tree::Tree;

/// How long the version that is announced to clients is taken to be true.
const WINDOW_AGE: Duration = Duration::from_secs(1);

/// What the program calls itself to clients.
const SERVER: HeaderValue =
    HeaderValue::from_static(concat!("Swarm/", env!("CARGO_PKG_VERSION"), " (linux)"));

/// How a manager answers.
pub struct ApiSettings {
    /// What it is among the managers of its cluster, now.
    pub standing: Box<dyn Fn() -> Standing + Send + Sync>,
    /// The strategy's name.
    pub strategy: String,
    /// The names of the filters in their order.
    pub filters: Vec<String>,
    /// The host that the manager runs on.
    pub host: Host,
    /// How often a create that failed is tried again.
    pub create_retry: u32,
    /// Whether pages of any origin may ask.
    pub cors: bool,
    /// What `docker info` says of it; nothing else depends on it.
    pub experimental: bool,
}

/// What a manager is among those of its cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It acts for the cluster.
    Primary,
    /// Another does, if there is one.
    Replica {
        /// Where that is.
        primary: Option<String>,
    },
}

/// The API. Clones are the same.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Cluster,
    settings: ApiSettings,
    execs: Execs,
    logins: Logins,
    tree: Mutex<Tree>,
    builds: Builds,
    window: Mutex<Option<(Instant, ApiWindow)>>,
}

impl Api {
    /// The API of a cluster.
    pub fn new(cluster: Cluster, settings: ApiSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                cluster,
                settings,
                execs: Execs::default(),
                logins: Logins::default(),
                tree: Mutex::default(),
                builds: Builds::default(),
                window: Mutex::default(),
            }),
        }
    }

    /// Answers a request. What goes wrong is an answer, too.
    pub async fn handle(self, request: Request<Incoming>) -> Served {
        let (client, path) = path::split_version(request.uri().path());
        let (path, method) = (path.to_owned(), request.method().clone());
        let answered = self.answered(request, client, &path).await;
        let mut answer = answered.unwrap_or_else(|error| {
            let status = error.status();
            match status.is_server_error() {
                true => tracing::warn!("{method} {path}: {error} ({status})"),
                false => tracing::debug!("{method} {path}: {error} ({status})"),
            }
            answer::failure(&error, client)
        });
        self.sign(answer.headers_mut());
        answer
    }

    async fn answered(
        &self,
        mut request: Request<Incoming>,
        client: Option<ApiVersion>,
        path: &str,
    ) -> Result<Served, ApiError> {
        if self.inner.settings.cors && request.method() == Method::OPTIONS {
            return Ok(answer::empty(StatusCode::OK));
        }
        let Some(found) = route::find(request.method(), path) else {
            return Err(refused::refusal(path));
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let call = Call {
            api: self.clone(),
            client,
            name: found.name,
            suffix: found.suffix,
            query: Query::parse(head.uri.query()),
            method: head.method,
            headers: head.headers,
            body: body.into(),
            upgrade,
        };
        (found.handler)(call).await
    }

    /// What every answer says of who answers.
    fn sign(&self, headers: &mut HeaderMap) {
        let newest = self.window().newest.to_string();
        if let Ok(newest) = HeaderValue::from_str(&newest) {
            headers.insert("api-version", newest);
        }
        headers.insert("docker-experimental", HeaderValue::from_static("false"));
        headers.insert("ostype", HeaderValue::from_static("linux"));
        headers.insert(http::header::SERVER, SERVER);
        if self.inner.settings.cors {
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                (
                    "access-control-allow-headers",
                    "Origin, X-Requested-With, Content-Type, Accept, X-Registry-Auth",
                ),
                (
                    "access-control-allow-methods",
                    "GET, POST, DELETE, PUT, OPTIONS, HEAD",
                ),
            ] {
                let name = HeaderName::from_static(name);
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }

    /// The versions that clients may speak: up to what every engine understands as it is meant.
    fn window(&self) -> ApiWindow {
        let mut known = self
            .inner
            .window
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((since, window)) = *known
            && since.elapsed() < WINDOW_AGE
        {
            return window;
        }
        let nodes = self.cluster().healthy();
        let newest = nodes.iter().map(|node| node.about.api.newest).min();
        let window = ApiWindow {
            oldest: "1.12".parse().unwrap_or(ApiVersion::OLDEST),
            newest: newest
                .unwrap_or(ApiVersion::NEWEST)
                .clamp(ApiVersion::OLDEST, ApiVersion::NEWEST),
        };
        *known = Some((Instant::now(), window));
        window
    }

    fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    /// The nodes that answer; there is one at least.
    fn healthy(&self) -> Result<Vec<NodeEngine>, ApiError> {
        let nodes = self.cluster().healthy();
        match nodes.is_empty() {
            true => Err(ApiError::Unavailable(NO_NODE.to_owned())),
            false => Ok(nodes),
        }
    }

    /// Any node that answers.
    fn any_node(&self) -> Result<NodeEngine, ApiError> {
        let mut nodes = self.healthy()?;
        Ok(nodes.swap_remove(rand::random_range(0..nodes.len())))
    }
}

const NO_NODE: &str = "No healthy node available in the cluster";
