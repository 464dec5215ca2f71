use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{Request, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::PATH;
use super::registry::{Registrant, Registry, Rejection, SavedRegistry};
use crate::serving::{Reply, done, parameter, seconds, text};
use crate::state_file::{self, StateFile};
use crate::{Discovery, DiscoveryError, Entry, Update, poll, serving};

/// How long a member stays that does not say it.
const DEFAULT_TTL: Duration = Duration::from_secs(180);

/// The longest that a request for another version waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Many changes at once, as when a cluster starts, are told in one answer.
const SETTLE: Duration = Duration::from_millis(50);

/// The membership of one cluster, for the managers and agents that ask for it over HTTP and, being
/// a [`Discovery`] itself, for the manager that keeps it.
///
/// The caller authenticates clients: it admits only certificates of the cluster, and says for each
/// request who sends it. Clones are the same membership.
#[derive(Clone)]
pub struct MembershipService {
    kept: Arc<Kept>,
}

struct Kept {
    registry: Arc<Mutex<Registry>>,
    told: watch::Sender<Told>,
    file: StateFile,
    /// Tells the versions of this life from those of another.
    life: u64,
}

#[derive(Clone)]
struct Told {
    membership: u64,
    members: Arc<BTreeSet<Entry>>,
    stopping: bool,
}

impl MembershipService {
    /// A membership that is kept in a file, or in memory alone. Members that the file knows stay
    /// for their whole time anew.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or holds something else.
    pub fn open(file: Option<PathBuf>) -> Result<Self, DiscoveryError> {
        let saved: SavedRegistry = state_file::read(file.as_deref())?;
        let registry = Registry::restored(saved, Instant::now())
            .map_err(|detail| state_file::nonsense(file.as_deref(), detail))?;
        let told = Told {
            membership: registry.roster().membership(),
            members: Arc::new(registry.roster().entries()),
            stopping: false,
        };
        let revision = registry.revision();
        let registry = Arc::new(Mutex::new(registry));
        let current = Arc::clone(&registry);
        let snapshot = move || {
            let registry = lock(&current);
            let content = serde_json::to_vec(&registry.saved());
            (registry.revision(), content.map_err(std::io::Error::from))
        };
        Ok(Self {
            kept: Arc::new(Kept {
                file: StateFile::new(file, revision, snapshot),
                registry,
                told: watch::Sender::new(told),
                life: rand::random(),
            }),
        })
    }

    /// Whether a request with this path is for the service.
    pub fn serves(path: &str) -> bool {
        below(path).is_some()
    }

    /// Answers a request; one for a version that is not there yet waits for it. An agent may change
    /// only its own entry.
    pub async fn handle<B>(&self, request: Request<B>, registrant: &Registrant) -> Reply {
        let (method, query) = (request.method().as_str(), request.uri().query());
        let below = below(request.uri().path());
        let answered = match (method, below.map(|rest| rest.strip_prefix('/'))) {
            ("GET", Some(None)) => self.members(query).await,
            ("PUT", Some(Some(entry))) => self.put(entry, query, registrant).await,
            ("DELETE", Some(Some(entry))) => self.delete(entry, registrant).await,
            (_, Some(_)) => Ok(text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")),
            (_, None) => Ok(text(StatusCode::NOT_FOUND, "page not found")),
        };
        answered.unwrap_or_else(|refusal| *refusal)
    }

    /// Answers those who wait, and those who would, that the manager is stopping: they would keep
    /// it from that.
    pub fn stop(&self) {
        self.kept.told.send_modify(|told| told.stopping = true);
    }

    async fn members(&self, query: Option<&str>) -> Result<Reply, Box<Reply>> {
        let wait = seconds(query, "wait", Duration::ZERO)?.min(LONGEST_WAIT);
        let told = self.now().await;
        let told = match parameter(query, "version") {
            Some(version) if version == self.version(&told) && !wait.is_zero() => {
                let news = self.until(|now| now.stopping || now.membership != told.membership);
                match tokio::time::timeout(wait, news).await {
                    Ok(news) if news.stopping => {
                        let sentence = "the manager is stopping";
                        return Ok(text(StatusCode::SERVICE_UNAVAILABLE, sentence));
                    }
                    Ok(_) => {
                        tokio::time::sleep(SETTLE).await;
                        self.now().await
                    }
                    Err(_) => told,
                }
            }
            _ => told,
        };
        let members: Vec<String> = told.members.iter().map(Entry::to_string).collect();
        let version = self.version(&told);
        Ok(serving::json(
            &json!({"version": version, "members": members}),
        ))
    }

    /// Writes changes that are not on disk yet.
    ///
    /// # Errors
    /// [`DiscoveryError::File`].
    pub async fn flush(&self) -> Result<(), DiscoveryError> {
        self.kept.file.flush().await
    }

    async fn put(
        &self,
        entry: &str,
        query: Option<&str>,
        registrant: &Registrant,
    ) -> Result<Reply, Box<Reply>> {
        let ttl = seconds(query, "ttl", DEFAULT_TTL)?;
        if ttl.is_zero() {
            let message = "ttl 0 is not a positive number of seconds";
            return Err(Box::new(text(StatusCode::BAD_REQUEST, message)));
        }
        let entry = parsed(entry)?;
        let (registered, revision) =
            self.with(|registry, now| registry.register(&entry, ttl, registrant, now));
        registered.map_err(|rejection| rejected(&rejection))?;
        self.saved(revision).await
    }

    async fn delete(&self, entry: &str, registrant: &Registrant) -> Result<Reply, Box<Reply>> {
        let entry = parsed(entry)?;
        let (removed, revision) = self.with(|registry, _| registry.remove(&entry, registrant));
        removed.map_err(|rejection| rejected(&rejection))?;
        self.saved(revision).await
    }

    async fn saved(&self, revision: u64) -> Result<Reply, Box<Reply>> {
        match self.kept.file.save(revision).await {
            Ok(()) => Ok(done()),
            Err(error) => Err(Box::new(unsaved(&error))),
        }
    }

    /// The members now. Those whose time is over are not among them.
    async fn now(&self) -> Told {
        let ((), revision) = self.with(|_, _| ());
        if let Err(error) = self.kept.file.save_soon(revision).await {
            // They come back with the next life of the service, and go when their time is over.
            tracing::warn!("that members are gone could not be saved: {error}");
        }
        self.kept.told.borrow().clone()
    }

    /// What there is to tell, as soon as it is enough.
    async fn until(&self, enough: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.kept.told.subscribe();
        loop {
            let next_end = lock(&self.kept.registry).roster().next_end();
            let expiry = async {
                match next_end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => pending().await,
                }
            };
            let news = async { told.wait_for(&enough).await.map(|told| told.clone()) };
            tokio::select! {
                Ok(told) = news => return told,
                () = expiry => drop(self.now().await),
            }
        }
    }

    /// Changes the registry and publishes the new membership. Returns the revision to save, too.
    fn with<R>(&self, act: impl FnOnce(&mut Registry, Instant) -> R) -> (R, u64) {
        let mut registry = lock(&self.kept.registry);
        let now = Instant::now();
        registry.expire(now);
        let acted = act(&mut registry, now);
        self.kept.told.send_if_modified(|told| {
            let changed = told.membership != registry.roster().membership();
            if changed {
                told.membership = registry.roster().membership();
                told.members = Arc::new(registry.roster().entries());
            }
            changed
        });
        (acted, registry.revision())
    }

    fn version(&self, told: &Told) -> String {
        format!("{:016x}-{}", self.kept.life, told.membership)
    }
}

fn lock(registry: &Mutex<Registry>) -> MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Discovery for MembershipService {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        Ok(self.now().await.members.as_ref().clone())
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        stream::unfold((self.clone(), None), |(service, seen)| async move {
            let told = match seen {
                None => service.now().await,
                Some(seen) => service.until(|told| told.membership != seen).await,
            };
            let members = Update::Members(told.members.as_ref().clone());
            Some((members, (service, Some(told.membership))))
        })
        .boxed()
    }

    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        let service = self.clone();
        poll::rounds(heartbeat, move || {
            let (service, entry) = (service.clone(), entry.clone());
            async move {
                let operator = Registrant::Operator;
                let (registered, revision) =
                    service.with(|registry, now| registry.register(&entry, ttl, &operator, now));
                registered.map_err(|_| DiscoveryError::Full)?;
                service.kept.file.save(revision).await
            }
        })
    }

    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        let operator = Registrant::Operator;
        let (removed, revision) = self.with(|registry, _| registry.remove(entry, &operator));
        removed.map_err(|rejection| DiscoveryError::Option(rejection.to_string()))?;
        self.kept.file.save(revision).await
    }
}

/// What is below the path of the members, with a slash before; nothing for the members themselves.
fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn parsed(entry: &str) -> Result<Entry, Box<Reply>> {
    let entry: Result<Entry, _> = entry.parse();
    entry.map_err(|error| Box::new(text(StatusCode::BAD_REQUEST, &error.to_string())))
}

fn unsaved(error: &DiscoveryError) -> Reply {
    tracing::error!("the members could not be saved: {error}");
    let sentence = "the members could not be saved";
    text(StatusCode::INTERNAL_SERVER_ERROR, sentence)
}

fn rejected(rejection: &Rejection) -> Box<Reply> {
    tracing::warn!("registration rejected: {rejection}");
    let status = match rejection {
        Rejection::ForeignHost { .. } | Rejection::ForeignEntry { .. } => StatusCode::FORBIDDEN,
        Rejection::Full => StatusCode::TOO_MANY_REQUESTS,
    };
    Box::new(text(status, &rejection.to_string()))
}
