//! Key-value stores. The keys and values are the original's, so that its agents and managers and
//! ours can share a store.

mod campaign;
mod consul;
mod etcd;
pub(crate) mod membership;
pub(crate) mod watching;
mod zookeeper;

use crate::{Discovery, DiscoveryError, Election, StoreKind, StoreOptions, StoreUrl};

/// What the leader's key is called, beside the nodes' directory.
const LEADER: &str = "docker/swarm/leader";

/// The paths of a cluster's keys, without slashes at their ends.
#[derive(Clone, Debug)]
struct Keys {
    /// The directory of the members.
    nodes: String,
    /// The leader's key.
    leader: String,
}

impl Keys {
    fn of(url: &StoreUrl, options: &StoreOptions) -> Self {
        let below = |path: &str| match url.prefix.is_empty() {
            true => path.to_owned(),
            false => format!("{}/{path}", url.prefix),
        };
        Self {
            nodes: below(&options.path),
            leader: below(LEADER),
        }
    }
}

/// The discovery in a store.
pub(crate) fn discovery(
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Box<dyn Discovery>, DiscoveryError> {
    let keys = Keys::of(url, options);
    match url.kind {
        StoreKind::Etcd => Ok(Box::new(etcd::Etcd::new(url, keys, options)?)),
        StoreKind::Consul => Ok(Box::new(consul::Consul::new(url, keys, options)?)),
        StoreKind::ZooKeeper => Ok(Box::new(zookeeper::ZooKeeper::new(url, keys, options)?)),
    }
}

/// The election in a store.
pub(crate) fn election(
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Box<dyn Election>, DiscoveryError> {
    let keys = Keys::of(url, options);
    match url.kind {
        StoreKind::Etcd => Ok(Box::new(etcd::Etcd::new(url, keys, options)?)),
        StoreKind::Consul => Ok(Box::new(consul::Consul::new(url, keys, options)?)),
        StoreKind::ZooKeeper => {
            let store = zookeeper::ZooKeeper::new(url, keys, options)?;
            Ok(Box::new(zookeeper::ZooKeeperElection::new(store)))
        }
    }
}
