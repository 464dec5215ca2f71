//! The one state machine of every election:
//!
//! ```text
//!           acquire: taken, or lost to another
//!   ┌────────────────────────────────────────────┐
//!   ▼                                            │
//! Follow ── acquire: held ──▶ Lead ── renew ─────┤
//!   ▲  └─ the store fails: Unknown, wait, again  │
//!   └──── not renewed until the lock's end ──────┘
//! ```

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use tokio::time::Instant;

use crate::{DiscoveryError, Standing};

/// How long to wait before a store that failed is asked again, at least; up to three times that.
const RETRY: Duration = Duration::from_millis(500);

/// A lock in a store, which ends by itself unless it is renewed.
#[async_trait]
pub(super) trait Lock: Clone + Send + Sync + 'static {
    /// Takes the lock if nobody has it, or this very candidate.
    async fn acquire(&self, candidate: &str, ttl: Duration) -> Result<Attempt, DiscoveryError>;

    /// Renews it; `false` when it is not this candidate's any more.
    async fn renew(&self, candidate: &str, ttl: Duration) -> Result<bool, DiscoveryError>;

    /// Waits until the lock may be free, or for this time.
    async fn changed(&self, limit: Duration) -> Result<(), DiscoveryError>;

    /// How long the lock is held for sure after the store has heard of its holder.
    async fn lease(&self, ttl: Duration) -> Duration {
        ttl
    }
}

/// What came of acquiring a lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Attempt {
    Held,
    Taken { by: Option<String> },
}

enum State {
    Follow {
        /// Whom the last item named; nobody was named yet without one.
        told: Option<Option<String>>,
    },
    Lead {
        until: Instant,
    },
}

/// Campaigns for a lock for ever.
pub(super) fn campaign<L: Lock>(
    lock: L,
    candidate: String,
    ttl: Duration,
) -> BoxStream<'static, Standing> {
    let begin = State::Follow { told: None };
    stream::unfold((lock, begin), move |(lock, mut state)| {
        let candidate = candidate.clone();
        async move {
            loop {
                let (standing, next) = match state {
                    State::Follow { told } => follow(&lock, &candidate, ttl, told).await,
                    State::Lead { until } => lead(&lock, &candidate, ttl, until).await,
                };
                state = next;
                if let Some(standing) = standing {
                    return Some((standing, (lock, state)));
                }
            }
        }
    })
    .boxed()
}

async fn follow<L: Lock>(
    lock: &L,
    candidate: &str,
    ttl: Duration,
    told: Option<Option<String>>,
) -> (Option<Standing>, State) {
    // The store counts from when it hears of it, which is later than this.
    let begun = Instant::now();
    match lock.acquire(candidate, ttl).await {
        Ok(Attempt::Held) => {
            let until = begun + lock.lease(ttl).await;
            (Some(Standing::Primary { until }), State::Lead { until })
        }
        Ok(Attempt::Taken { by }) if told.as_ref() == Some(&by) => {
            if let Err(error) = lock.changed(ttl / 2).await {
                return unknown(error).await;
            }
            (None, State::Follow { told })
        }
        Ok(Attempt::Taken { by }) => (
            Some(Standing::Replica {
                primary: by.clone(),
            }),
            State::Follow { told: Some(by) },
        ),
        Err(error) => unknown(error).await,
    }
}

async fn lead<L: Lock>(
    lock: &L,
    candidate: &str,
    ttl: Duration,
    until: Instant,
) -> (Option<Standing>, State) {
    tokio::time::sleep(lock.lease(ttl).await / 3).await;
    loop {
        let begun = Instant::now();
        let left = until.saturating_duration_since(begun);
        let renewed = tokio::time::timeout(left, lock.renew(candidate, ttl)).await;
        match renewed {
            Ok(Ok(true)) => {
                let until = begun + lock.lease(ttl).await;
                return (Some(Standing::Primary { until }), State::Lead { until });
            }
            Ok(Ok(false)) => return (None, State::Follow { told: None }),
            Ok(Err(error)) if Instant::now() + RETRY < until => {
                tracing::warn!("the lead could not be renewed yet: {error}");
                tokio::time::sleep(RETRY).await;
            }
            Ok(Err(error)) => return unknown(error).await,
            Err(_) => return (None, State::Follow { told: None }),
        }
    }
}

/// Says so, after a pause that differs from candidate to candidate.
async fn unknown(error: DiscoveryError) -> (Option<Standing>, State) {
    tokio::time::sleep(RETRY.mul_f64(1.0 + 2.0 * rand::random::<f64>())).await;
    (Some(Standing::Unknown(error)), State::Follow { told: None })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A store of one lock, whose clock is tokio's.
    #[derive(Clone, Default)]
    struct Store(Arc<Mutex<Inner>>);

    #[derive(Default)]
    struct Inner {
        holder: Option<(String, tokio::time::Instant)>,
        down: bool,
    }

    impl Store {
        fn is_up(&self) -> Result<(), DiscoveryError> {
            match self.0.lock().unwrap().down {
                true => Err(DiscoveryError::Unsupported),
                false => Ok(()),
            }
        }
    }

    #[async_trait]
    impl Lock for Store {
        async fn acquire(&self, candidate: &str, ttl: Duration) -> Result<Attempt, DiscoveryError> {
            self.is_up()?;
            let now = tokio::time::Instant::now();
            let mut inner = self.0.lock().unwrap();
            match &inner.holder {
                Some((by, end)) if *end > now && by != candidate => Ok(Attempt::Taken {
                    by: Some(by.clone()),
                }),
                _ => {
                    inner.holder = Some((candidate.to_owned(), now + ttl));
                    Ok(Attempt::Held)
                }
            }
        }

        async fn renew(&self, candidate: &str, ttl: Duration) -> Result<bool, DiscoveryError> {
            Ok(self.acquire(candidate, ttl).await? == Attempt::Held)
        }

        async fn changed(&self, limit: Duration) -> Result<(), DiscoveryError> {
            tokio::time::sleep(limit).await;
            self.is_up()
        }
    }

    const TTL: Duration = Duration::from_secs(6);

    #[tokio::test(start_paused = true)]
    async fn the_second_follows_until_the_first_is_gone() {
        let store = Store::default();
        let mut first = campaign(store.clone(), "a:1".to_owned(), TTL);
        let mut second = campaign(store.clone(), "b:1".to_owned(), TTL);
        assert!(matches!(first.next().await, Some(Standing::Primary { .. })));
        match second.next().await {
            Some(Standing::Replica { primary }) => assert_eq!(primary.as_deref(), Some("a:1")),
            other => panic!("{other:?}"),
        }
        // The first is asked no more, so it renews nothing.
        assert!(matches!(
            second.next().await,
            Some(Standing::Primary { .. })
        ));
        match first.next().await {
            Some(Standing::Replica { primary }) => assert_eq!(primary.as_deref(), Some("b:1")),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_comes_back_has_a_leader_again() {
        let store = Store::default();
        let mut campaign = campaign(store.clone(), "a:1".to_owned(), TTL);
        assert!(matches!(
            campaign.next().await,
            Some(Standing::Primary { .. })
        ));
        store.0.lock().unwrap().down = true;
        let told = tokio::time::timeout(TTL * 3, campaign.next()).await;
        assert!(matches!(told, Ok(Some(Standing::Unknown(_)))), "{told:?}");
        *store.0.lock().unwrap() = Inner::default();
        assert!(matches!(
            campaign.next().await,
            Some(Standing::Primary { .. })
        ));
    }
}
