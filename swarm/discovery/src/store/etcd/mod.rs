//! etcd: with its API of version 2 where it is served, which the original speaks, else with that
//! of version 3.

mod v2;
mod v3;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use http::Method;
use tokio::sync::Mutex;

use super::Keys;
use super::campaign::{self, Attempt, Lock};
use super::watching::{self, Change, Members};
use crate::http::{Ask, Servers};
use crate::{
    Discovery, DiscoveryError, Election, Entry, Standing, StoreOptions, StoreUrl, Update, poll,
};

/// The store, by its servers.
#[derive(Clone)]
pub(super) struct Etcd {
    servers: Servers,
    keys: Keys,
    heartbeat: Duration,
    spoken: Arc<Mutex<Option<Version>>>,
    /// Who campaigns here, and may have to resign.
    candidate: Arc<std::sync::Mutex<Option<String>>>,
}

/// Which API the servers speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V2,
    V3,
}

/// A place in the store's history, and how it is gone on from.
pub(super) enum Place {
    V2 { index: u64 },
    V3(v3::Watch),
}

impl Etcd {
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
        Ok(Self {
            servers: Servers::new(urls, options.tls.clone(), options.limit)?,
            keys,
            heartbeat: options.heartbeat,
            spoken: Arc::default(),
            candidate: Arc::default(),
        })
    }

    /// The API to speak: found out once, and again after an outage.
    async fn version(&self) -> Result<Version, DiscoveryError> {
        let mut spoken = self.spoken.lock().await;
        if let Some(version) = *spoken {
            return Ok(version);
        }
        let ask = Ask::new(Method::GET, "/v2/keys/?quorum=false");
        let answer = self.servers.ask(&ask).await?;
        // Who does not serve it has no such page; who does answers in JSON whatever is there.
        let version = match answer.json() {
            Ok(_) => Version::V2,
            Err(_) => Version::V3,
        };
        *spoken = Some(version);
        Ok(version)
    }

    async fn forget_version(&self) {
        *self.spoken.lock().await = None;
    }

    async fn put(&self, entry: &Entry, ttl: Duration) -> Result<(), DiscoveryError> {
        let went = match self.version().await? {
            Version::V2 => v2::put(&self.servers, &self.keys.nodes, entry, ttl).await,
            Version::V3 => v3::put(&self.servers, &self.keys.nodes, entry, ttl).await,
        };
        if went.is_err() {
            self.forget_version().await;
        }
        went
    }
}

#[async_trait]
impl Discovery for Etcd {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        match self.version().await? {
            Version::V2 => Ok(v2::list(&self.servers, &self.keys.nodes).await?.0),
            Version::V3 => Ok(v3::list(&self.servers, &self.keys.nodes).await?.0),
        }
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
        match self.version().await? {
            Version::V2 => v2::delete(&self.servers, &self.keys.nodes, entry).await,
            Version::V3 => v3::delete(&self.servers, &self.keys.nodes, entry).await,
        }
    }
}

#[async_trait]
impl Members for Etcd {
    type Place = Place;

    async fn now(&self) -> Result<(BTreeSet<Entry>, Place), DiscoveryError> {
        match self.version().await? {
            Version::V2 => {
                let (members, index) = v2::list(&self.servers, &self.keys.nodes).await?;
                Ok((members, Place::V2 { index }))
            }
            Version::V3 => {
                let (members, revision) = v3::list(&self.servers, &self.keys.nodes).await?;
                let watch = v3::Watch::open(&self.servers, &self.keys.nodes, revision + 1).await?;
                Ok((members, Place::V3(watch)))
            }
        }
    }

    async fn next(&self, place: &mut Place) -> Result<Option<Vec<Change>>, DiscoveryError> {
        match place {
            Place::V2 { index } => v2::next(&self.servers, &self.keys.nodes, index).await,
            Place::V3(watch) => watch.next().await,
        }
    }

    async fn failed(&self) {
        self.forget_version().await;
    }
}

#[async_trait]
impl Lock for Etcd {
    async fn acquire(&self, candidate: &str, ttl: Duration) -> Result<Attempt, DiscoveryError> {
        let went = match self.version().await? {
            Version::V2 => v2::acquire(&self.servers, &self.keys.leader, candidate, ttl).await,
            Version::V3 => v3::acquire(&self.servers, &self.keys.leader, candidate, ttl).await,
        };
        if went.is_err() {
            self.forget_version().await;
        }
        went
    }

    async fn renew(&self, candidate: &str, ttl: Duration) -> Result<bool, DiscoveryError> {
        match self.version().await? {
            Version::V2 => v2::renew(&self.servers, &self.keys.leader, candidate, ttl).await,
            Version::V3 => v3::renew(&self.servers, &self.keys.leader, candidate).await,
        }
    }

    async fn changed(&self, limit: Duration) -> Result<(), DiscoveryError> {
        match self.version().await? {
            Version::V2 => v2::changed(&self.servers, &self.keys.leader, limit).await,
            Version::V3 => v3::changed(&self.servers, &self.keys.leader, limit).await,
        }
    }
}

#[async_trait]
impl Election for Etcd {
    fn campaign(&self, candidate: String, ttl: Duration) -> BoxStream<'static, Standing> {
        self.remember(Some(candidate.clone()));
        campaign::campaign(self.clone(), candidate, ttl)
    }

    async fn resign(&self) -> Result<(), DiscoveryError> {
        let Some(candidate) = self.remember(None) else {
            return Ok(());
        };
        match self.version().await? {
            Version::V2 => v2::release(&self.servers, &self.keys.leader, &candidate).await,
            Version::V3 => v3::release(&self.servers, &self.keys.leader, &candidate).await,
        }
    }
}

impl Etcd {
    fn remember(&self, candidate: Option<String>) -> Option<String> {
        let mut kept = self
            .candidate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(&mut kept, candidate)
    }
}
