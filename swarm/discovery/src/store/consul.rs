//! Consul: keys that go with the session that holds them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::BoxStream;
use http::{HeaderName, Method};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Keys;
use super::campaign::{self, Attempt, Lock};
use super::watching::{self, Change, Members};
use crate::http::{Answer, Ask, Servers, shown};
use crate::{
    Discovery, DiscoveryError, Election, Entry, Standing, StoreOptions, StoreUrl, Update, poll,
};

/// How long a wait for the next change lasts before it is begun anew. Consul adds a sixteenth.
const WAIT: Duration = Duration::from_secs(60);

/// The least time of a session, where a server takes no less.
const LEAST_TTL: Duration = Duration::from_secs(10);

/// The store, by its servers.
#[derive(Clone)]
pub(super) struct Consul {
    servers: Servers,
    keys: Keys,
    heartbeat: Duration,
    limit: Duration,
    /// The sessions that hold our keys.
    sessions: Arc<Mutex<HashMap<String, String>>>,
}

/// What becomes of a key when its session ends.
#[derive(Clone, Copy)]
enum Behavior {
    Delete,
    Release,
}

/// A key's value, and the session that holds it.
struct Held {
    value: String,
    session: Option<String>,
}

impl Consul {
    pub(super) fn new(
        url: &StoreUrl,
        keys: Keys,
        options: &StoreOptions,
    ) -> Result<Self, DiscoveryError> {
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let urls = url.servers.iter();
        let urls = urls.map(|server| format!("{scheme}://{server}")).collect();
        let mut servers = Servers::new(urls, options.tls.clone(), options.limit)?;
        if let Some(token) = &options.token {
            let name = HeaderName::from_static("x-consul-token");
            servers = servers.with_secret_header(name, token.reveal())?;
        }
        Ok(Self {
            servers,
            keys,
            heartbeat: options.heartbeat,
            limit: options.limit,
            sessions: Arc::default(),
        })
    }

    /// The session that holds a key of ours, renewed; `None` when there is none, or none any more.
    async fn renewed(&self, key: &str) -> Result<Option<String>, DiscoveryError> {
        let session = self.sessions.lock().await.get(key).cloned();
        let Some(session) = session else {
            return Ok(None);
        };
        let ask = Ask::new(Method::PUT, format!("/v1/session/renew/{session}"));
        let answer = self.servers.ask(&ask).await?;
        if answer.status == 404 {
            self.sessions.lock().await.remove(key);
            return Ok(None);
        }
        answer.success()?;
        Ok(Some(session))
    }

    async fn begin(
        &self,
        key: &str,
        behavior: Behavior,
        ttl: Duration,
    ) -> Result<String, DiscoveryError> {
        let session = match self.create(behavior, ttl).await {
            Err(DiscoveryError::Refused { message, .. }) if message.contains("Session TTL") => {
                tracing::warn!("{message}; {LEAST_TTL:?} it is");
                self.create(behavior, LEAST_TTL).await?
            }
            created => created?,
        };
        let mut sessions = self.sessions.lock().await;
        sessions.insert(key.to_owned(), session.clone());
        Ok(session)
    }

    async fn create(&self, behavior: Behavior, ttl: Duration) -> Result<String, DiscoveryError> {
        let body = json!({
            "Name": "rswarm",
            "TTL": format!("{}ms", ttl.as_millis().max(1)),
            "LockDelay": "1ms",
            "Behavior": match behavior {
                Behavior::Delete => "delete",
                Behavior::Release => "release",
            },
        });
        let ask = Ask::new(Method::PUT, "/v1/session/create");
        let ask = ask.with("application/json", body.to_string());
        let answer = self.servers.ask(&ask).await?.success()?;
        let created = answer.json()?;
        let id = created["ID"].as_str().map(str::to_owned);
        id.ok_or_else(|| malformed(&answer, "a session without an ID"))
    }

    /// Makes a session hold a key; `false` when another does.
    async fn acquire_key(
        &self,
        key: &str,
        value: &str,
        session: &str,
    ) -> Result<bool, DiscoveryError> {
        let path = format!("/v1/kv/{key}?acquire={session}");
        let ask = Ask::new(Method::PUT, path).with("text/plain", value.to_owned());
        let answer = self.servers.ask(&ask).await?.success()?;
        Ok(answer.json()? == true)
    }

    async fn get(&self, key: &str) -> Result<Option<Held>, DiscoveryError> {
        let ask = Ask::new(Method::GET, format!("/v1/kv/{key}"));
        let answer = self.servers.ask(&ask).await?;
        held(answer)
    }

    async fn destroy(&self, session: &str) -> Result<(), DiscoveryError> {
        let ask = Ask::new(Method::PUT, format!("/v1/session/destroy/{session}"));
        self.servers.ask(&ask).await?.success().map(drop)
    }

    async fn put(&self, entry: &Entry, ttl: Duration) -> Result<(), DiscoveryError> {
        let key = format!("{}/{entry}", self.keys.nodes);
        let value = entry.to_string();
        if let Some(session) = self.renewed(&key).await? {
            let held = self.get(&key).await?;
            if held.is_some_and(|held| held.session.as_deref() == Some(&session)) {
                return Ok(());
            }
        }
        // A session lives for up to twice its time.
        let session = self.begin(&key, Behavior::Delete, ttl / 2).await?;
        if self.acquire_key(&key, &value, &session).await? {
            return Ok(());
        }
        // That of an agent's earlier life would take the key along when it ends.
        if let Some(earlier) = self.get(&key).await?.and_then(|held| held.session) {
            self.destroy(&earlier).await?;
        }
        match self.acquire_key(&key, &value, &session).await? {
            true => Ok(()),
            false => Err(DiscoveryError::Refused {
                server: self.keys.nodes.clone(),
                status: 409,
                message: format!("another session holds {key}"),
            }),
        }
    }

    async fn list_from(&self, index: u64) -> Result<(BTreeSet<Entry>, u64), DiscoveryError> {
        let wait = WAIT.as_secs();
        let dir = &self.keys.nodes;
        let path = format!("/v1/kv/{dir}/?recurse=true&index={index}&wait={wait}s");
        let limit = match index {
            0 => self.limit,
            _ => WAIT + WAIT / 16 + self.limit,
        };
        let ask = Ask::new(Method::GET, path).for_list();
        let answer = self.servers.ask_within(&ask, limit).await?;
        let now = index_of(&answer)?;
        if answer.status == 404 {
            return Ok((BTreeSet::new(), now));
        }
        let answer = answer.success()?;
        let listed = answer.json()?;
        let items = listed.as_array().into_iter().flatten();
        // What is no entry is none of ours.
        let entries = items.filter_map(|item| value(item)?.parse().ok());
        Ok((entries.collect(), now))
    }
}

#[async_trait]
impl Discovery for Consul {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        Ok(self.list_from(0).await?.0)
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        watching::watch(self.clone(), 2 * self.heartbeat)
    }

    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        let store = self.clone();
        poll::rounds(heartbeat, move || {
            let (store, entry) = (store.clone(), entry.clone());
            async move { store.put(&entry, ttl).await }
        })
    }

    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        let key = format!("{}/{entry}", self.keys.nodes);
        let ask = Ask::new(Method::DELETE, format!("/v1/kv/{key}"));
        self.servers.ask(&ask).await?.success()?;
        match self.sessions.lock().await.remove(&key) {
            Some(session) => self.destroy(&session).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Members for Consul {
    /// The index of the last answer.
    type Place = u64;

    async fn now(&self) -> Result<(BTreeSet<Entry>, u64), DiscoveryError> {
        self.list_from(0).await
    }

    async fn next(&self, index: &mut u64) -> Result<Option<Vec<Change>>, DiscoveryError> {
        let (members, now) = self.list_from(*index).await?;
        // A store that was restored begins to count anew: list again without an index.
        if now < *index {
            return Ok(None);
        }
        *index = now;
        Ok(Some(vec![Change::All(members)]))
    }

    async fn failed(&self) {}
}

#[async_trait]
impl Lock for Consul {
    async fn acquire(&self, candidate: &str, ttl: Duration) -> Result<Attempt, DiscoveryError> {
        let key = &self.keys.leader;
        let session = match self.renewed(key).await? {
            Some(session) => session,
            None => self.begin(key, Behavior::Release, ttl).await?,
        };
        if self.acquire_key(key, candidate, &session).await? {
            return Ok(Attempt::Held);
        }
        let held = self.get(key).await?;
        // A key that no session holds has only the name of who led last.
        let by = held.filter(|held| held.session.is_some());
        Ok(Attempt::Taken {
            by: by.map(|held| held.value),
        })
    }

    async fn renew(&self, _candidate: &str, _ttl: Duration) -> Result<bool, DiscoveryError> {
        let key = &self.keys.leader;
        let Some(session) = self.renewed(key).await? else {
            return Ok(false);
        };
        let held = self.get(key).await?.and_then(|held| held.session);
        Ok(held.as_deref() == Some(&session))
    }

    async fn changed(&self, limit: Duration) -> Result<(), DiscoveryError> {
        let key = &self.keys.leader;
        let ask = Ask::new(Method::GET, format!("/v1/kv/{key}"));
        let answer = self.servers.ask(&ask).await?;
        let index = index_of(&answer)?;
        if held(answer)?.is_none_or(|held| held.session.is_none()) {
            return Ok(());
        }
        let wait = limit.as_millis();
        let ask = Ask::new(
            Method::GET,
            format!("/v1/kv/{key}?index={index}&wait={wait}ms"),
        );
        let limit = limit + limit / 16 + self.limit;
        self.servers.ask_within(&ask, limit).await.map(drop)
    }
}

#[async_trait]
impl Election for Consul {
    fn campaign(&self, candidate: String, ttl: Duration) -> BoxStream<'static, Standing> {
        // A session lives for at least its time, and for up to twice that.
        campaign::campaign(self.clone(), candidate, ttl / 2)
    }

    async fn verify(&self) -> Result<bool, DiscoveryError> {
        let key = &self.keys.leader;
        let Some(session) = self.sessions.lock().await.get(key).cloned() else {
            return Ok(false);
        };
        // Only a consistent read excludes a server that was cut off from the others.
        let ask = Ask::new(Method::GET, format!("/v1/kv/{key}?consistent"));
        let held = held(self.servers.ask(&ask).await?)?.and_then(|held| held.session);
        Ok(held.as_deref() == Some(&session))
    }

    async fn resign(&self) -> Result<(), DiscoveryError> {
        let session = self.sessions.lock().await.remove(&self.keys.leader);
        match session {
            Some(session) => self.destroy(&session).await,
            None => Ok(()),
        }
    }
}

fn held(answer: Answer) -> Result<Option<Held>, DiscoveryError> {
    if answer.status == 404 {
        return Ok(None);
    }
    let answer = answer.success()?;
    let found = answer.json()?;
    let item = &found[0];
    Ok(Some(Held {
        value: value(item).unwrap_or_default(),
        session: item["Session"].as_str().map(str::to_owned),
    }))
}

fn value(item: &Value) -> Option<String> {
    let bytes = STANDARD.decode(item["Value"].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

fn index_of(answer: &Answer) -> Result<u64, DiscoveryError> {
    let index = answer.headers.get("x-consul-index");
    let index = index.and_then(|index| index.to_str().ok()?.parse().ok());
    match index {
        // With the index 0, the next query would not wait.
        Some(index) => Ok(u64::max(index, 1)),
        // What is refused has no index.
        None => Err(DiscoveryError::Refused {
            server: answer.server.clone(),
            status: answer.status,
            message: shown(&String::from_utf8_lossy(&answer.body)),
        }),
    }
}

fn malformed(answer: &Answer, detail: &str) -> DiscoveryError {
    DiscoveryError::Malformed {
        server: answer.server.clone(),
        detail: detail.to_owned(),
    }
}
