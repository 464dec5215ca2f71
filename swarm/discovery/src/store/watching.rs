//! A watch of the members that survives outages of the store and does not trust it to report every
//! change: a peer that is silent, ends each watch at once, or repeats itself costs neither freshness
//! nor a busy loop.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;

use super::membership::Membership;
use crate::backoff::Backoff;
use crate::{DiscoveryError, Entry, Update};

/// Interval of full listings: no change stays unnoticed for longer, even if the watch is silent.
const RESYNC: Duration = Duration::from_secs(120);

/// A step that took less time and brought no change counts as idle.
const QUICK: Duration = Duration::from_secs(1);

/// A watch that lasted this long shows that the store works again.
const STABLE: Duration = Duration::from_secs(10);

const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

const IDLE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// The members in a store, and what changes of them.
#[async_trait]
pub(crate) trait Members: Send + 'static {
    /// A position in the store's history, from which a watch continues.
    type Place: Send;

    /// Lists the members.
    async fn now(&self) -> Result<(BTreeSet<Entry>, Self::Place), DiscoveryError>;

    /// Waits for the next changes; `None` when only a new listing can tell them. The caller limits
    /// the time.
    async fn next(&self, place: &mut Self::Place) -> Result<Option<Vec<Change>>, DiscoveryError>;

    /// Drops cached facts about the store after a failure.
    async fn failed(&self);
}

/// One change of the members.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Entry),
    Removed(Entry),
    All(BTreeSet<Entry>),
}

/// Yields the members, and then each change. A store that lost its members gets the grace period to
/// be filled again.
pub(crate) fn watch<M: Members>(members: M, grace: Duration) -> BoxStream<'static, Update> {
    let watching = Watching {
        members,
        place: None,
        membership: Membership::new(grace),
        is_outage: false,
        resync_at: Instant::now(),
        retry: RETRY,
        idle: IDLE,
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
    is_outage: bool,
    resync_at: Instant,
    retry: Backoff,
    idle: Backoff,
}

impl<M: Members> Watching<M> {
    async fn step(&mut self) -> Option<Update> {
        let began = Instant::now();
        let place = self.place.take();
        let is_watch = place.is_some();
        let went = match place {
            None => self.begin().await,
            Some(place) => self.follow(place).await,
        };
        if is_watch && began.elapsed() >= STABLE {
            self.retry.reset();
        }
        let has_events = match went {
            Ok(has_events) => has_events,
            Err(error) => {
                self.members.failed().await;
                tokio::time::sleep(self.retry.next_delay()).await;
                // An outage is reported once, however long it lasts.
                let was_outage = std::mem::replace(&mut self.is_outage, true);
                return (!was_outage).then_some(Update::Trouble(error));
            }
        };
        let update = match self.place {
            Some(_) => self.membership.news(Instant::now()).map(Update::Members),
            None => None,
        };
        if update.is_some() || has_events || began.elapsed() >= QUICK {
            self.idle.reset();
        } else {
            tokio::time::sleep(self.idle.next_delay()).await;
        }
        update
    }

    async fn begin(&mut self) -> Result<bool, DiscoveryError> {
        let (members, place) = self.members.now().await?;
        if std::mem::take(&mut self.is_outage) {
            self.membership.back(Instant::now());
        }
        self.membership.replace(members);
        self.synced();
        self.place = Some(place);
        Ok(false)
    }

    /// Returns true if there were events: agents of the original write their keys anew at every
    /// heartbeat, which changes no member.
    async fn follow(&mut self, mut place: M::Place) -> Result<bool, DiscoveryError> {
        let now = Instant::now();
        let until_resync = self.resync_at.saturating_duration_since(now);
        let limit = match self.membership.quiet_for(now) {
            Some(quiet) => quiet.min(until_resync),
            None => until_resync,
        };
        let next = self.members.next(&mut place);
        let Ok(next) = tokio::time::timeout(limit, next).await else {
            // The members are listed again.
            return Ok(false);
        };
        let Some(changes) = next? else {
            return Ok(false);
        };
        let mut has_events = false;
        for change in changes {
            match change {
                Change::Added(entry) => {
                    self.membership.add(entry);
                    has_events = true;
                }
                Change::Removed(entry) => {
                    self.membership.remove(&entry);
                    has_events = true;
                }
                Change::All(entries) => {
                    self.membership.replace(entries);
                    self.synced();
                }
            }
        }
        self.place = Some(place);
        Ok(has_events)
    }

    /// Managers that started together do not list together for ever.
    fn synced(&mut self) {
        let jitter = 0.85 + 0.3 * rand::random::<f64>();
        self.resync_at = Instant::now() + RESYNC.mul_f64(jitter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// What a store does when it is asked for the next change.
    #[derive(Clone, Copy)]
    enum Answer {
        Never,
        EndOfWatch,
        NothingNew,
        Failure,
    }

    /// A store whose list can be changed behind its watch.
    #[derive(Clone)]
    struct Store {
        answer: Answer,
        members: Arc<Mutex<BTreeSet<Entry>>>,
        listed: Arc<AtomicUsize>,
        asked: Arc<AtomicUsize>,
    }

    impl Store {
        fn new(answer: Answer) -> Self {
            Self {
                answer,
                members: Arc::new(Mutex::new(entries(&["a:1"]))),
                listed: Arc::default(),
                asked: Arc::default(),
            }
        }
    }

    #[async_trait]
    impl Members for Store {
        type Place = ();

        async fn now(&self) -> Result<(BTreeSet<Entry>, ()), DiscoveryError> {
            self.listed.fetch_add(1, Ordering::Relaxed);
            Ok((self.members.lock().unwrap().clone(), ()))
        }

        async fn next(&self, (): &mut ()) -> Result<Option<Vec<Change>>, DiscoveryError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match self.answer {
                Answer::Never => std::future::pending().await,
                Answer::EndOfWatch => Ok(None),
                Answer::NothingNew => Ok(Some(vec![Change::All(
                    self.members.lock().unwrap().clone(),
                )])),
                Answer::Failure => Err(DiscoveryError::Unsupported),
            }
        }

        async fn failed(&self) {}
    }

    fn entries(texts: &[&str]) -> BTreeSet<Entry> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_found_although_the_watch_is_silent() {
        for answer in [Answer::Never, Answer::EndOfWatch, Answer::NothingNew] {
            let store = Store::new(answer);
            let mut updates = watch(store.clone(), Duration::ZERO);
            updates.next().await.unwrap();
            *store.members.lock().unwrap() = entries(&["b:1"]);
            let update = tokio::time::timeout(2 * RESYNC, updates.next()).await;
            match update {
                Ok(Some(Update::Members(members))) => assert_eq!(members, entries(&["b:1"])),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn watch_that_brings_nothing_is_no_busy_loop() {
        for answer in [Answer::EndOfWatch, Answer::NothingNew, Answer::Failure] {
            let store = Store::new(answer);
            let mut updates = watch(store.clone(), Duration::ZERO);
            let reading = async { while updates.next().await.is_some() {} };
            let minutes = Duration::from_secs(600);
            tokio::time::timeout(minutes, reading).await.unwrap_err();
            let listed = store.listed.load(Ordering::Relaxed);
            let asked = store.asked.load(Ordering::Relaxed);
            assert!(listed < 150 && asked < 150, "{listed} {asked}");
        }
    }
}
