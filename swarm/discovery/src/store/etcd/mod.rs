//! etcd: with its API of version 2 where it is served, which the original speaks, else with that
//! of version 3.

mod v2;
mod v3;

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
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
    /// The leader key that this campaign holds.
    hold: Arc<std::sync::Mutex<Option<Hold>>>,
}

/// Which API the servers speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V2,
    V3,
}

/// What tells this campaign's leader key from one with the same candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hold {
    /// The index at which the key was created.
    V2 { created: u64 },
    /// The key's lease.
    V3 { lease: u64 },
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
            hold: Arc::default(),
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
        let acquired = match self.version().await? {
            Version::V2 => {
                let own = self.created();
                let created =
                    v2::acquire(&self.servers, &self.keys.leader, candidate, ttl, own).await;
                created.map(|created| created.map(|created| Hold::V2 { created }))
            }
            Version::V3 => {
                let own = self.lease();
                // Remembered before the key is written: the response may be lost.
                let granted = |lease| self.remember(Some(Hold::V3 { lease }));
                let leader = &self.keys.leader;
                let lease = v3::acquire(&self.servers, leader, candidate, ttl, own, granted).await;
                lease.map(|lease| lease.map(|lease| Hold::V3 { lease }))
            }
        };
        match acquired {
            Ok(Ok(hold)) => {
                self.remember(Some(hold));
                Ok(Attempt::Held)
            }
            Ok(Err(by)) => Ok(Attempt::Taken { by }),
            Err(error) => {
                self.forget_version().await;
                Err(error)
            }
        }
    }

    async fn renew(&self, candidate: &str, ttl: Duration) -> Result<bool, DiscoveryError> {
        let leader = &self.keys.leader;
        match self.version().await? {
            Version::V2 => match self.created() {
                Some(created) => v2::renew(&self.servers, leader, candidate, ttl, created).await,
                None => Ok(false),
            },
            Version::V3 => match self.lease() {
                Some(lease) => v3::renew(&self.servers, leader, lease).await,
                None => Ok(false),
            },
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
        campaign::campaign(self.clone(), candidate, ttl)
    }

    async fn verify(&self) -> Result<bool, DiscoveryError> {
        let leader = &self.keys.leader;
        match self.hold() {
            None => Ok(false),
            Some(Hold::V2 { created }) => v2::is_held(&self.servers, leader, created).await,
            Some(Hold::V3 { lease }) => v3::is_held(&self.servers, leader, lease).await,
        }
    }

    async fn resign(&self) -> Result<(), DiscoveryError> {
        let leader = &self.keys.leader;
        match self.remember(None) {
            None => Ok(()),
            Some(Hold::V2 { created }) => v2::release(&self.servers, leader, created).await,
            // The key goes with its lease.
            Some(Hold::V3 { lease }) => v3::revoke(&self.servers, lease).await,
        }
    }
}

impl Etcd {
    fn hold(&self) -> Option<Hold> {
        *self.holds()
    }

    fn remember(&self, hold: Option<Hold>) -> Option<Hold> {
        std::mem::replace(&mut *self.holds(), hold)
    }

    fn holds(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn created(&self) -> Option<u64> {
        match self.hold() {
            Some(Hold::V2 { created }) => Some(created),
            _ => None,
        }
    }

    fn lease(&self) -> Option<u64> {
        match self.hold() {
            Some(Hold::V3 { lease }) => Some(lease),
            _ => None,
        }
    }
}
