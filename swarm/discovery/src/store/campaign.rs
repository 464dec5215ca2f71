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

use crate::backoff::Backoff;
use crate::{BootInstant, DiscoveryError, Standing};

/// Delay before a renewal that failed is repeated while the lock is held.
const RENEW_AGAIN: Duration = Duration::from_millis(500);

/// Delays before a store that failed is asked again.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));

/// Delays where a wait for the lock ends at once although nothing has changed.
const IDLE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// A wait for the lock that took less time counts as idle.
const QUICK: Duration = Duration::from_secs(1);

/// A lock in a store, which ends by itself unless it is renewed.
#[async_trait]
pub(super) trait Lock: Clone + Send + Sync + 'static {
    /// Takes the lock if nobody has it, or this very campaign. A campaign with the same candidate is
    /// another one.
    async fn acquire(&self, candidate: &str, ttl: Duration) -> Result<Attempt, DiscoveryError>;

    /// Renews it; `false` when it is not this campaign's any more.
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
        idle: Backoff,
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
    let begin = State::unknown();
    stream::unfold((lock, begin, RETRY), move |(lock, mut state, mut retry)| {
        let candidate = candidate.clone();
        async move {
            loop {
                let went = match state {
                    State::Follow { told, idle } => {
                        follow(&lock, &candidate, ttl, told, idle).await
                    }
                    State::Lead { until } => lead(&lock, &candidate, ttl, until).await,
                };
                let standing = match went {
                    Ok((standing, next)) => {
                        retry.reset();
                        state = next;
                        standing
                    }
                    Err(error) => {
                        tokio::time::sleep(retry.next_jittered()).await;
                        state = State::unknown();
                        Some(Standing::Unknown(error))
                    }
                };
                if let Some(standing) = standing {
                    return Some((standing, (lock, state, retry)));
                }
            }
        }
    })
    .boxed()
}

impl State {
    fn unknown() -> Self {
        Self::Follow {
            told: None,
            idle: IDLE,
        }
    }
}

type Step = Result<(Option<Standing>, State), DiscoveryError>;

async fn follow<L: Lock>(
    lock: &L,
    candidate: &str,
    ttl: Duration,
    told: Option<Option<String>>,
    mut idle: Backoff,
) -> Step {
    // The store counts from when it hears of it, which is later than this.
    let (begun, boot) = (Instant::now(), BootInstant::now());
    let by = match lock.acquire(candidate, ttl).await? {
        Attempt::Held => {
            let lease = lock.lease(ttl).await;
            return Ok(leads(begun + lease, boot + lease));
        }
        Attempt::Taken { by } => by,
    };
    if told.as_ref() != Some(&by) {
        let primary = by.clone();
        let next = State::Follow {
            told: Some(by),
            idle: IDLE,
        };
        return Ok((Some(Standing::Replica { primary }), next));
    }
    let begun = Instant::now();
    lock.changed(ttl / 2).await?;
    if begun.elapsed() < QUICK {
        tokio::time::sleep(idle.next_delay()).await;
    } else {
        idle.reset();
    }
    Ok((None, State::Follow { told, idle }))
}

async fn lead<L: Lock>(lock: &L, candidate: &str, ttl: Duration, until: Instant) -> Step {
    tokio::time::sleep(lock.lease(ttl).await / 3).await;
    loop {
        let (begun, boot) = (Instant::now(), BootInstant::now());
        let left = until.saturating_duration_since(begun);
        match tokio::time::timeout(left, lock.renew(candidate, ttl)).await {
            Ok(Ok(true)) => {
                let lease = lock.lease(ttl).await;
                return Ok(leads(begun + lease, boot + lease));
            }
            Ok(Err(error)) if Instant::now() + RENEW_AGAIN < until => {
                tracing::warn!("the lead could not be renewed yet: {error}");
                tokio::time::sleep(RENEW_AGAIN).await;
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(false)) | Err(_) => return Ok((None, State::unknown())),
        }
    }
}

fn leads(until: Instant, lapses: BootInstant) -> (Option<Standing>, State) {
    let standing = Standing::Primary { until, lapses };
    (Some(standing), State::Lead { until })
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

    /// A store whose lock is another's, and whose waits end at once.
    #[derive(Clone, Default)]
    struct Restless(Arc<Mutex<usize>>);

    #[async_trait]
    impl Lock for Restless {
        async fn acquire(&self, _: &str, _: Duration) -> Result<Attempt, DiscoveryError> {
            *self.0.lock().unwrap() += 1;
            Ok(Attempt::Taken {
                by: Some("b:1".to_owned()),
            })
        }

        async fn renew(&self, _: &str, _: Duration) -> Result<bool, DiscoveryError> {
            Ok(false)
        }

        async fn changed(&self, _: Duration) -> Result<(), DiscoveryError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_the_lock_that_ends_at_once_is_no_busy_loop() {
        let store = Restless::default();
        let mut campaign = campaign(store.clone(), "a:1".to_owned(), TTL);
        let reading = async { while campaign.next().await.is_some() {} };
        let minutes = Duration::from_secs(600);
        tokio::time::timeout(minutes, reading).await.unwrap_err();
        let asked = *store.0.lock().unwrap();
        assert!(asked < 150, "{asked}");
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
