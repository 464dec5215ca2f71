//! Leadership of this manager, checked before it acts for the cluster.
//!
//! A manager that was stopped (SIGSTOP, suspend, a paused VM) continues where it was, with requests
//! that it had accepted before. Two checks keep it from acting on them after another manager has
//! taken over: [`Lease::is_held`] compares a deadline with a clock that runs during a suspend, and
//! [`Lease::confirm`] asks the store, because no clock of a VM runs while its hypervisor pauses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rswarm_discovery::{BootInstant, Election};
use tokio::sync::Mutex;

/// Timeout of one attempt to ask the store.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Delay before a store that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// This manager does not lead the cluster any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this manager is not the primary any more")]
pub struct NotLeader;

/// Lease of the primary manager. Clones share it; that of a single manager is always held.
#[derive(Clone, Default)]
pub struct Lease {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    election: Arc<dyn Election>,
    /// When the lease lapses, in milliseconds of [`BootInstant`]; 0 while it is not held.
    lapses: AtomicU64,
    /// Counts the calls of [`Lease::confirm`].
    arrivals: AtomicU64,
    /// The last arrival that a confirmation of the store covers.
    confirmed: Mutex<u64>,
}

impl Lease {
    /// The lease of a manager that takes part in an election. It is not held yet.
    pub fn of(election: Arc<dyn Election>) -> Self {
        Self {
            shared: Some(Arc::new(Shared {
                election,
                lapses: AtomicU64::new(0),
                arrivals: AtomicU64::new(0),
                confirmed: Mutex::new(0),
            })),
        }
    }

    /// True until the lease lapses by this machine's clock. Costs no more than reading the clock.
    pub fn is_held(&self) -> bool {
        match &self.shared {
            Some(shared) => shared.is_held(),
            None => true,
        }
    }

    /// Asks the store whether this manager leads. Concurrent calls share one question, which is
    /// asked after the last of them was made. A store that does not answer is asked again until the
    /// lease lapses.
    ///
    /// # Errors
    /// [`NotLeader`].
    pub async fn confirm(&self) -> Result<(), NotLeader> {
        match &self.shared {
            Some(shared) => shared.confirm().await,
            None => Ok(()),
        }
    }

    /// Extends the lease.
    pub(crate) fn extend(&self, lapses: BootInstant) {
        if let Some(shared) = &self.shared {
            shared.lapses.store(lapses.as_millis(), Ordering::Release);
        }
    }

    /// Ends the lease.
    pub(crate) fn end(&self) {
        if let Some(shared) = &self.shared {
            shared.lapses.store(0, Ordering::Release);
        }
    }
}

impl Shared {
    fn is_held(&self) -> bool {
        BootInstant::now().as_millis() < self.lapses.load(Ordering::Acquire)
    }

    async fn confirm(&self) -> Result<(), NotLeader> {
        let arrival = self.arrivals.fetch_add(1, Ordering::AcqRel) + 1;
        let mut confirmed = self.confirmed.lock().await;
        while *confirmed < arrival {
            if !self.is_held() {
                return Err(NotLeader);
            }
            let covered = self.arrivals.load(Ordering::Acquire);
            match tokio::time::timeout(ATTEMPT, self.election.verify()).await {
                Ok(Ok(true)) => *confirmed = covered,
                Ok(Ok(false)) => {
                    self.lapses.store(0, Ordering::Release);
                    return Err(NotLeader);
                }
                Ok(Err(error)) => {
                    tracing::warn!("leadership cannot be verified yet: {error}");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(_) => {
                    tracing::warn!("leadership cannot be verified yet: the store is silent");
                }
            }
        }
        if self.is_held() {
            Ok(())
        } else {
            Err(NotLeader)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use futures_util::stream::{BoxStream, StreamExt as _};
    use rswarm_discovery::{DiscoveryError, Standing};

    use super::*;

    /// A store that answers each question in the same way, after a moment.
    struct Store {
        answer: Option<bool>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Election for Store {
        fn campaign(&self, _: String, _: Duration) -> BoxStream<'static, Standing> {
            futures_util::stream::pending().boxed()
        }

        async fn verify(&self) -> Result<bool, DiscoveryError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.answer.ok_or(DiscoveryError::Unsupported)
        }

        async fn resign(&self) -> Result<(), DiscoveryError> {
            Ok(())
        }
    }

    fn lease(answer: Option<bool>) -> (Arc<Store>, Lease) {
        let store = Arc::new(Store {
            answer,
            asked: AtomicUsize::new(0),
        });
        let election: Arc<dyn Election> = Arc::clone(&store) as _;
        (store, Lease::of(election))
    }

    #[tokio::test]
    async fn lease_of_a_single_manager_is_always_held() {
        let lease = Lease::default();
        lease.end();
        assert!(lease.is_held());
        lease.confirm().await.unwrap();
    }

    #[tokio::test]
    async fn lease_lapses_by_the_clock() {
        let (store, lease) = lease(Some(true));
        assert!(!lease.is_held());
        lease.extend(BootInstant::now() + Duration::from_secs(60));
        assert!(lease.is_held());
        lease.confirm().await.unwrap();
        lease.extend(BootInstant::now());
        assert!(!lease.is_held());
        assert_eq!(lease.confirm().await, Err(NotLeader));
        assert_eq!(store.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn store_that_names_another_leader_ends_a_lease_that_the_clock_still_grants() {
        let (_, lease) = lease(Some(false));
        lease.extend(BootInstant::now() + Duration::from_secs(60));
        assert_eq!(lease.confirm().await, Err(NotLeader));
        assert!(!lease.is_held());
    }

    #[tokio::test]
    async fn store_that_does_not_answer_confirms_nothing() {
        let (store, lease) = lease(None);
        lease.extend(BootInstant::now() + Duration::from_millis(500));
        assert_eq!(lease.confirm().await, Err(NotLeader));
        assert!(store.asked.load(Ordering::Relaxed) >= 1);
    }

    #[tokio::test]
    async fn concurrent_calls_share_a_question() {
        let (store, lease) = lease(Some(true));
        lease.extend(BootInstant::now() + Duration::from_secs(60));
        let calls = (0..100).map(|_| lease.confirm());
        let confirmed = futures_util::future::join_all(calls).await;
        assert!(confirmed.iter().all(Result::is_ok));
        assert_eq!(store.asked.load(Ordering::Relaxed), 2);
    }
}
