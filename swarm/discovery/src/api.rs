use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::{BootInstant, DiscoveryError, Entry};

/// Who belongs to a cluster.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// The members now.
    ///
    /// # Errors
    /// When the store does not tell within the options' limit.
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError>;

    /// The members, and then each change. Never ends: an outage of the store is told and outlived,
    /// and what was told before it stays valid meanwhile. A store that comes back empty says so
    /// only when it had the time of two heartbeats to be filled again.
    fn watch(&self) -> BoxStream<'static, Update>;

    /// Registers an entry at once, and again at every heartbeat, sooner after a failure, for as
    /// long as the stream is asked for more; an item tells how a round went. Refreshing an entry
    /// wakes no watcher.
    ///
    /// The entry outlasts the stream by the TTL; [`Discovery::deregister`] ends it at once.
    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>>;

    /// Takes an entry away. One that is not there is no error.
    ///
    /// # Errors
    /// When the store does not do it within the options' limit.
    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError>;
}

/// What a watch tells.
#[derive(Debug)]
pub enum Update {
    /// All members.
    Members(BTreeSet<Entry>),
    /// The store cannot be asked; the members told last stay valid.
    Trouble(DiscoveryError),
}

/// Who of several managers leads.
#[async_trait]
pub trait Election: Send + Sync {
    /// Campaigns for as long as the stream is asked for more. It never ends. Of several campaigns
    /// one leads, also if they have the same candidate.
    fn campaign(&self, candidate: String, ttl: Duration) -> BoxStream<'static, Standing>;

    /// Asks the store whether this campaign still leads. Unlike the end of the last
    /// [`Standing::Primary`], the answer does not depend on a clock of this machine.
    ///
    /// # Errors
    /// When the store does not answer within the options' limit.
    async fn verify(&self) -> Result<bool, DiscoveryError>;

    /// Gives the lead back at once.
    ///
    /// # Errors
    /// When the store does not do it within the options' limit; it does when the TTL is over.
    async fn resign(&self) -> Result<(), DiscoveryError>;
}

/// What a campaign has come to.
#[derive(Debug)]
pub enum Standing {
    /// The candidate leads.
    Primary {
        /// Unless another item comes before, nobody may believe that from here on: the store may
        /// give the lead to another.
        until: Instant,
        /// The same, by the clock that runs during a suspend.
        lapses: BootInstant,
    },
    /// Another leads, if anybody does.
    Replica {
        /// Who.
        primary: Option<String>,
    },
    /// The store cannot be asked: nobody knows who leads.
    Unknown(DiscoveryError),
}
