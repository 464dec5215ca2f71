use std::collections::{BTreeMap, BTreeSet};
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
use crate::roster::{Full, Roster};
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
/// It asks nobody who they are: whoever mounts it lets in only those with a certificate of the
/// cluster. Clones are the same membership.
#[derive(Clone)]
pub struct MembershipService {
    kept: Arc<Kept>,
}

struct Kept {
    roster: Mutex<Roster>,
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
        let saved: BTreeMap<String, u64> = state_file::read(file.as_deref())?;
        let roster =
            restored(&saved).map_err(|detail| state_file::nonsense(file.as_deref(), detail))?;
        let told = Told {
            membership: roster.membership(),
            members: Arc::new(roster.entries()),
            stopping: false,
        };
        Ok(Self {
            kept: Arc::new(Kept {
                file: StateFile::new(file, roster.revision()),
                roster: Mutex::new(roster),
                told: watch::Sender::new(told),
                life: rand::random(),
            }),
        })
    }

    /// Whether a request with this path is for the service.
    pub fn serves(path: &str) -> bool {
        below(path).is_some()
    }

    /// Answers a request; one for a version that is not there yet waits for it.
    pub async fn handle<B>(&self, request: Request<B>) -> Reply {
        let (method, query) = (request.method().as_str(), request.uri().query());
        let below = below(request.uri().path());
        let answered = match (method, below.map(|rest| rest.strip_prefix('/'))) {
            ("GET", Some(None)) => self.members(query).await,
            ("PUT", Some(Some(entry))) => self.put(entry, query).await,
            ("DELETE", Some(Some(entry))) => self.delete(entry).await,
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

    async fn put(&self, entry: &str, query: Option<&str>) -> Result<Reply, Box<Reply>> {
        let ttl = seconds(query, "ttl", DEFAULT_TTL)?;
        let entry = parsed(entry)?;
        match self.registered(entry, ttl).await {
            Ok(Ok(())) => Ok(done()),
            Ok(Err(Full)) => Ok(text(
                StatusCode::INSUFFICIENT_STORAGE,
                "the cluster has too many members already",
            )),
            Err(error) => Ok(unsaved(&error)),
        }
    }

    async fn delete(&self, entry: &str) -> Result<Reply, Box<Reply>> {
        let entry = parsed(entry)?;
        match self.deregister(&entry).await {
            Ok(()) => Ok(done()),
            Err(error) => Ok(unsaved(&error)),
        }
    }

    async fn registered(
        &self,
        entry: Entry,
        ttl: Duration,
    ) -> Result<Result<(), Full>, DiscoveryError> {
        let (registered, revision) = self.with(|roster, now| roster.register(entry, ttl, now));
        self.save(revision).await?;
        Ok(registered)
    }

    /// The members now. Those whose time is over are not among them.
    async fn now(&self) -> Told {
        let ((), revision) = self.with(|_, _| ());
        if let Err(error) = self.save(revision).await {
            // They come back with the next life of the service, and go when their time is over.
            tracing::warn!("that members are gone could not be saved: {error}");
        }
        self.kept.told.borrow().clone()
    }

    /// What there is to tell, as soon as it is enough.
    async fn until(&self, enough: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.kept.told.subscribe();
        loop {
            let next_end = self.roster().next_end();
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

    /// Does something to the roster, and tells what it changed.
    fn with<R>(&self, act: impl FnOnce(&mut Roster, Instant) -> R) -> (R, u64) {
        let mut roster = self.roster();
        let now = Instant::now();
        roster.expire(now);
        let acted = act(&mut roster, now);
        self.kept.told.send_if_modified(|told| {
            let changed = told.membership != roster.membership();
            if changed {
                told.membership = roster.membership();
                told.members = Arc::new(roster.entries());
            }
            changed
        });
        (acted, roster.revision())
    }

    async fn save(&self, revision: u64) -> Result<(), DiscoveryError> {
        let current = || {
            let roster = self.roster();
            let ttls = roster.ttls();
            let ttls: BTreeMap<String, u64> = ttls
                .map(|(entry, ttl)| (entry.to_string(), ttl.as_secs()))
                .collect();
            let content = serde_json::to_vec(&ttls).map_err(std::io::Error::from);
            (roster.revision(), content)
        };
        self.kept.file.save(revision, current).await
    }

    fn version(&self, told: &Told) -> String {
        format!("{:016x}-{}", self.kept.life, told.membership)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        let roster = self.kept.roster.lock();
        roster.unwrap_or_else(PoisonError::into_inner)
    }
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
                let registered = service.registered(entry, ttl).await?;
                registered.map_err(|Full| DiscoveryError::Full)
            }
        })
    }

    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        let ((), revision) = self.with(|roster, _| roster.remove(entry));
        self.save(revision).await
    }
}

/// What is below the path of the members, with a slash before; nothing for the members themselves.
fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn restored(saved: &BTreeMap<String, u64>) -> Result<Roster, String> {
    let mut ttls = Vec::with_capacity(saved.len());
    for (entry, ttl) in saved {
        let entry: Entry = entry.parse().map_err(|error| format!("{error}"))?;
        ttls.push((entry, Duration::from_secs(*ttl)));
    }
    Roster::saved(ttls, Instant::now()).map_err(|Full| DiscoveryError::Full.to_string())
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
