//! The watchdog: containers whose node is lost are created on another one, if they want that.
//!
//! Only a primary acts. Nothing is kept but how often something failed: what is to be done follows
//! from the state of the cluster, so that another manager goes on where one ended.

mod moving;
mod recreate;
mod retire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::role::Role;
use crate::api::Api;
use crate::cluster::{Cluster, Orphan};
use crate::metrics::Metrics;

/// How many containers move at a time.
const AT_A_TIME: usize = 4;

/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long one container may take, the pull of its image included.
const MOVE_LIMIT: Duration = Duration::from_secs(1800);

/// Moves what has lost its node, for ever.
pub async fn watch(
    api: Api,
    cluster: Cluster,
    delay: Duration,
    mut role: watch::Receiver<Role>,
    metrics: Arc<Metrics>,
) {
    loop {
        if role.wait_for(|role| *role == Role::Primary).await.is_err() {
            return;
        }
        let acting = act(&api, &cluster, delay, &metrics);
        tokio::select! {
            () = acting => {}
            lost = role.wait_for(|role| *role != Role::Primary) => {
                if lost.is_err() {
                    return;
                }
            }
        }
    }
}

/// Acts as the primary. What is under way when this ends is left for the next.
async fn act(api: &Api, cluster: &Cluster, delay: Duration, metrics: &Metrics) {
    let mut turns = cluster.turns();
    let mut failures = Failures::default();
    let mut moving: JoinSet<(Arc<str>, Result<String, moving::MoveError>)> = JoinSet::new();
    let mut under_way: BTreeMap<Arc<str>, Orphan> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let superseded = cluster.superseded();
        let is_left = retire::retire(api.lease(), cluster, &superseded).await;
        for orphan in cluster.give_up_departed() {
            tracing::warn!(
                "container {} of {}: gave up creating it on another node",
                orphan.name,
                orphan.node.name
            );
        }
        let orphans = cluster.orphans();
        failures.forget_all_but(orphans.iter().map(|orphan| &orphan.id));
        let mut wake = is_left.then_some(now + FIRST_PAUSE);
        for orphan in orphans {
            let due = failures.due(&orphan, delay);
            if under_way.contains_key(&orphan.id) {
                continue;
            }
            if due > now || under_way.len() >= AT_A_TIME {
                wake = Some(
                    wake.map_or(due, |wake| wake.min(due))
                        .max(now + FIRST_PAUSE / 4),
                );
                continue;
            }
            under_way.insert(Arc::clone(&orphan.id), orphan.clone());
            let (api, cluster) = (api.clone(), cluster.clone());
            moving.spawn(async move {
                let id = Arc::clone(&orphan.id);
                let moved = moving::to_another_node(&api, &cluster, &orphan);
                let moved = tokio::time::timeout(MOVE_LIMIT, moved).await;
                let moved = moved.unwrap_or(Err(moving::MoveError::TooSlow(MOVE_LIMIT)));
                (id, moved)
            });
        }
        tokio::select! {
            turned = turns.changed() => {
                if turned.is_err() {
                    return;
                }
                // Who is new may be who was missing.
                failures.retry_at_once();
            }
            Some(Ok((id, moved))) = moving.join_next() => {
                metrics.rescheduled(moved.is_ok());
                if let Some(orphan) = under_way.remove(&id) {
                    failures.note(&orphan, &moved);
                }
            }
            () = until(wake) => {}
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// What could not be moved, and when it is tried again.
#[derive(Default)]
struct Failures(BTreeMap<Arc<str>, Failed>);

struct Failed {
    times: u32,
    until: Option<Instant>,
    why: String,
}

impl Failures {
    /// When it is to be moved: a while after the loss, and after each failure.
    fn due(&self, orphan: &Orphan, delay: Duration) -> Instant {
        let first = orphan.lost_at + delay;
        let failed = self.0.get(&orphan.id).and_then(|failed| failed.until);
        failed.map_or(first, |until| until.max(first))
    }

    fn forget_all_but<'a>(&mut self, ids: impl Iterator<Item = &'a Arc<str>>) {
        if !self.0.is_empty() {
            let ids: BTreeSet<_> = ids.collect();
            self.0.retain(|id, _| ids.contains(id));
        }
    }

    fn retry_at_once(&mut self) {
        for failed in self.0.values_mut() {
            failed.until = None;
        }
    }

    /// Tells what became of it, and each reason once.
    fn note(&mut self, orphan: &Orphan, moved: &Result<String, moving::MoveError>) {
        let (name, node) = (&orphan.name, &orphan.node.name);
        let error = match moved {
            Ok(to) => {
                tracing::info!("Rescheduled container {name} from {node} to {to}");
                self.0.remove(&orphan.id);
                return;
            }
            Err(error) => error.to_string(),
        };
        let failed = self.0.entry(Arc::clone(&orphan.id)).or_insert(Failed {
            times: 0,
            until: None,
            why: String::new(),
        });
        if failed.why != error {
            tracing::warn!("container {name} of {node} cannot be rescheduled yet: {error}");
            failed.why = error;
        }
        failed.until = Some(Instant::now() + pause(failed.times));
        failed.times = failed.times.saturating_add(1);
    }
}

fn pause(times: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << times.min(10))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = (0..7).map(|times| pause(times).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
