//! A watch of the members that outlives the store.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;

use super::membership::Membership;
use crate::{DiscoveryError, Entry, Update};

/// How long to wait before a store that failed is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The members in a store, and what changes of them.
#[async_trait]
pub(crate) trait Members: Send + 'static {
    /// A place in the store's history, and how it is gone on from.
    type Place: Send;

    /// The members now.
    async fn now(&self) -> Result<(BTreeSet<Entry>, Self::Place), DiscoveryError>;

    /// The next changes; `None` when they can only be found out by asking for all members anew.
    async fn next(&self, place: &mut Self::Place) -> Result<Option<Vec<Change>>, DiscoveryError>;

    /// The store failed: what was found out about it may be no more.
    async fn failed(&self);
}

/// One change of the members.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Entry),
    Removed(Entry),
    All(BTreeSet<Entry>),
}

/// The members, and then each change. A store that lost its members gets the grace to be filled
/// again.
pub(crate) fn watch<M: Members>(members: M, grace: Duration) -> BoxStream<'static, Update> {
    let watching = Watching {
        members,
        place: None,
        membership: Membership::new(grace),
        outage: false,
    };
    stream::unfold(watching, |mut watching| async move {
        loop {
            if let Some(update) = watching.step().await {
                return Some((update, watching));
            }
        }
    })
    .boxed()
}

struct Watching<M: Members> {
    members: M,
    place: Option<M::Place>,
    membership: Membership,
    outage: bool,
}

impl<M: Members> Watching<M> {
    async fn step(&mut self) -> Option<Update> {
        let went = match self.place.take() {
            None => self.begin().await,
            Some(place) => self.go_on(place).await,
        };
        match went {
            Ok(()) if self.place.is_some() => {
                self.membership.news(Instant::now()).map(Update::Members)
            }
            Ok(()) => None,
            Err(error) => {
                self.members.failed().await;
                tokio::time::sleep(RETRY).await;
                // An outage is told once, however often it is met.
                let told = std::mem::replace(&mut self.outage, true);
                (!told).then_some(Update::Trouble(error))
            }
        }
    }

    async fn begin(&mut self) -> Result<(), DiscoveryError> {
        let (members, place) = self.members.now().await?;
        if std::mem::take(&mut self.outage) {
            self.membership.back(Instant::now());
        }
        self.membership.replace(members);
        self.place = Some(place);
        Ok(())
    }

    async fn go_on(&mut self, mut place: M::Place) -> Result<(), DiscoveryError> {
        let next = self.members.next(&mut place);
        let next = match self.membership.quiet_for(Instant::now()) {
            None => next.await,
            Some(quiet) => match tokio::time::timeout(quiet, next).await {
                Ok(next) => next,
                // What was cut off is asked for anew.
                Err(_) => return Ok(()),
            },
        };
        let Some(changes) = next? else {
            return Ok(());
        };
        for change in changes {
            match change {
                Change::Added(entry) => self.membership.add(entry),
                Change::Removed(entry) => self.membership.remove(&entry),
                Change::All(entries) => self.membership.replace(entries),
            }
        }
        self.place = Some(place);
        Ok(())
    }
}
