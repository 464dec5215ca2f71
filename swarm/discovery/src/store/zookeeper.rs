//! ZooKeeper: nodes of its tree that go with the session that made them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;
use zookeeper_client::{
    Acls, Client, CreateMode, Error, EventType, OneshotWatcher, SessionState, WatchedEvent,
};

use super::Keys;
use super::campaign::{self, Attempt, Lock};
use super::watching::{self, Change, Members};
use crate::{
    Discovery, DiscoveryError, Election, Entry, Standing, StoreOptions, StoreUrl, Update, poll,
};

/// The session of a reader; the original's.
const READING: Duration = Duration::from_secs(10);

/// The primary's node, below the leader's path, where the original keeps its own.
const PRIMARY: &str = "primary";

/// The store, by its servers.
#[derive(Clone)]
pub(super) struct ZooKeeper {
    servers: Arc<str>,
    keys: Keys,
    heartbeat: Duration,
    limit: Duration,
    /// How long a session lasts that is heard of no more, unless the server has it otherwise.
    session: Duration,
    client: Arc<Mutex<Option<Client>>>,
}

impl ZooKeeper {
    pub(super) fn new(
        url: &StoreUrl,
        keys: Keys,
        options: &StoreOptions,
    ) -> Result<Self, DiscoveryError> {
        if options.tls.is_some() {
            let message = "there is no TLS to ZooKeeper: leave kv.cacertfile and the others away";
            return Err(DiscoveryError::Option(message.to_owned()));
        }
        let servers: Vec<String> = url.servers.iter().map(ToString::to_string).collect();
        Ok(Self {
            servers: servers.join(",").into(),
            keys,
            heartbeat: options.heartbeat,
            limit: options.limit,
            session: READING,
            client: Arc::default(),
        })
    }

    /// The same store, with a session of its own that lasts this long.
    fn with_session(&self, session: Duration) -> Self {
        Self {
            session,
            client: Arc::default(),
            ..self.clone()
        }
    }

    /// The client, connected anew when its session has ended.
    async fn client(&self) -> Result<Client, DiscoveryError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept
            .as_ref()
            .filter(|client| !client.state().is_terminated())
        {
            return Ok(client.clone());
        }
        let connecting = Client::connector()
            .with_session_timeout(self.session)
            .connect(&self.servers);
        let client = self.within("connecting", connecting).await?;
        *kept = Some(client.clone());
        Ok(client)
    }

    async fn within<T>(
        &self,
        waiting_for: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DiscoveryError> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done.map_err(|error| self.failed(error)),
            Err(_) => Err(DiscoveryError::Deadline {
                server: self.servers.to_string(),
                waiting_for: waiting_for.to_owned(),
                limit: self.limit,
            }),
        }
    }

    fn failed(&self, error: Error) -> DiscoveryError {
        DiscoveryError::Unreachable {
            server: self.servers.to_string(),
            source: Box::new(error),
        }
    }

    /// Makes a node that goes with our session, and those above it. `false` when another session
    /// has made it, `true` also when ours has.
    async fn make(&self, path: &str, value: &str) -> Result<bool, DiscoveryError> {
        let client = self.client().await?;
        let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let parents = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let making = async {
            if let Some((above, _)) = path.rsplit_once('/') {
                client.mkdir(above, &parents).await?;
            }
            match client.create(path, value.as_bytes(), &options).await {
                Ok(_) => Ok(true),
                Err(Error::NodeExists) => {
                    let owner = client.check_stat(path).await?;
                    Ok(owner.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0))
                }
                Err(error) => Err(error),
            }
        };
        self.within("making a node", making).await
    }

    async fn remove(&self, path: &str) -> Result<(), DiscoveryError> {
        let client = self.client().await?;
        let removing = async {
            match client.delete(path, None).await {
                Ok(()) | Err(Error::NoNode) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.within("removing a node", removing).await
    }

    fn nodes(&self) -> String {
        format!("/{}", self.keys.nodes)
    }

    fn primary(&self) -> String {
        format!("/{}/{PRIMARY}", self.keys.leader)
    }

    async fn put(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        let path = format!("{}/{entry}", self.nodes());
        let value = entry.to_string();
        if self.make(&path, &value).await? {
            return Ok(());
        }
        // That of an agent's earlier life would go with its session.
        self.remove(&path).await?;
        match self.make(&path, &value).await? {
            true => Ok(()),
            false => Err(self.failed(Error::NodeExists)),
        }
    }
}

#[async_trait]
impl Discovery for ZooKeeper {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        let client = self.client().await?;
        let path = self.nodes();
        let listing = async {
            match client.list_children(&path).await {
                Err(Error::NoNode) => Ok(Vec::new()),
                listed => listed,
            }
        };
        Ok(entries(&self.within("listing the nodes", listing).await?))
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        watching::watch(self.with_session(READING), 2 * self.heartbeat)
    }

    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        let store = self.with_session(ttl);
        poll::rounds(heartbeat, move || {
            let (store, entry) = (store.clone(), entry.clone());
            async move { store.put(&entry).await }
        })
    }

    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        self.remove(&format!("{}/{entry}", self.nodes())).await
    }
}

#[async_trait]
impl Members for ZooKeeper {
    /// What tells of the next change; there may be no more of it.
    type Place = Option<OneshotWatcher>;

    async fn now(&self) -> Result<(BTreeSet<Entry>, Self::Place), DiscoveryError> {
        let client = self.client().await?;
        let path = self.nodes();
        let parents = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let listing = async {
            client.mkdir(&path, &parents).await?;
            client.list_and_watch_children(&path).await
        };
        let (children, watcher) = self.within("listing the nodes", listing).await?;
        Ok((entries(&children), Some(watcher)))
    }

    async fn next(&self, place: &mut Self::Place) -> Result<Option<Vec<Change>>, DiscoveryError> {
        match place.take() {
            None => Ok(None),
            Some(watcher) => self.alive(&watcher.changed().await).map(|()| None),
        }
    }

    async fn failed(&self) {
        *self.client.lock().await = None;
    }
}

#[async_trait]
impl Lock for ZooKeeper {
    async fn acquire(&self, candidate: &str, _ttl: Duration) -> Result<Attempt, DiscoveryError> {
        let path = self.primary();
        if self.make(&path, candidate).await? {
            return Ok(Attempt::Held);
        }
        let client = self.client().await?;
        let reading = async {
            match client.get_data(&path).await {
                Ok((value, _)) => Ok(String::from_utf8(value).ok()),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let by = self.within("reading who leads", reading).await?;
        Ok(Attempt::Taken { by })
    }

    async fn renew(&self, candidate: &str, _ttl: Duration) -> Result<bool, DiscoveryError> {
        self.make(&self.primary(), candidate).await
    }

    async fn changed(&self, limit: Duration) -> Result<(), DiscoveryError> {
        let client = self.client().await?;
        let path = self.primary();
        let looking = client.check_and_watch_stat(&path);
        let (stat, watcher) = self.within("looking who leads", looking).await?;
        if stat.is_none() {
            return Ok(());
        }
        match tokio::time::timeout(limit, watcher.changed()).await {
            Ok(event) => self.alive(&event),
            Err(_) => Ok(()),
        }
    }

    /// The server may give a session less time than was asked for.
    async fn lease(&self, ttl: Duration) -> Duration {
        let client = self.client.lock().await;
        let given = client.as_ref().map(Client::session_timeout);
        given.unwrap_or(ttl).min(ttl)
    }
}

impl ZooKeeper {
    fn alive(&self, event: &WatchedEvent) -> Result<(), DiscoveryError> {
        let ended = event.event_type == EventType::Session
            && matches!(
                event.session_state,
                SessionState::Expired | SessionState::Closed | SessionState::AuthFailed
            );
        match ended {
            true => Err(self.failed(Error::SessionExpired)),
            false => Ok(()),
        }
    }
}

/// An election. Each campaign has a session of its own, which ends with it.
pub(super) struct ZooKeeperElection {
    store: ZooKeeper,
    campaigning: std::sync::Mutex<Weak<Mutex<Option<Client>>>>,
}

impl ZooKeeperElection {
    pub(super) fn new(store: ZooKeeper) -> Self {
        Self {
            store,
            campaigning: std::sync::Mutex::default(),
        }
    }

    fn campaigning(&self) -> std::sync::MutexGuard<'_, Weak<Mutex<Option<Client>>>> {
        self.campaigning
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Election for ZooKeeperElection {
    fn campaign(&self, candidate: String, ttl: Duration) -> BoxStream<'static, Standing> {
        let store = self.store.with_session(ttl);
        *self.campaigning() = Arc::downgrade(&store.client);
        campaign::campaign(store, candidate, ttl)
    }

    async fn verify(&self) -> Result<bool, DiscoveryError> {
        let Some(campaigning) = self.campaigning().upgrade() else {
            return Ok(false);
        };
        let Some(client) = campaigning.lock().await.clone() else {
            return Ok(false);
        };
        let path = self.store.primary();
        let reading = async {
            // The server that we talk to may be behind.
            client.sync(&path).await?;
            client.check_stat(&path).await
        };
        let stat = self.store.within("verifying who leads", reading).await?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0))
    }

    /// Ends the campaign's session, and the lead with it.
    async fn resign(&self) -> Result<(), DiscoveryError> {
        let Some(campaigning) = self.campaigning().upgrade() else {
            return Ok(());
        };
        let Some(client) = campaigning.lock().await.take() else {
            return Ok(());
        };
        let path = self.store.primary();
        let ours = client.check_stat(&path);
        let ours = self.store.within("looking who leads", ours).await?;
        if ours.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0) {
            let giving = client.delete(&path, None);
            self.store.within("giving the lead back", giving).await?;
        }
        Ok(())
    }
}

/// What is no entry is none of ours.
fn entries(names: &[String]) -> BTreeSet<Entry> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
