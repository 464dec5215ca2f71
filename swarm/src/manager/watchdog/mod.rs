//! The watchdog: reschedules containers of lost nodes whose policy asks for it.
//!
//! ```text
//! orphans ──▶ eligibility (pure) ──▶ moving: confirm that the node is lost, create, start
//! superseded ──▶ retire: the original is back, one of the two is stopped
//! ```
//!
//! Only a primary acts. What is to be done follows from the state of the cluster and the statements
//! in it, so another manager continues where one ended.

mod connectivity;
mod eligibility;
mod moving;
mod privileges;
mod recreate;
mod report;
mod retire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::role::Role;
use crate::api::Api;
use crate::cluster::{Cluster, Orphan, RescheduleStatus};
use crate::metrics::Metrics;
use connectivity::Connectivity;
use eligibility::{Facts, Rejected, Source, due};
use privileges::first_privilege;
use recreate::Recreation;
use report::Reporter;
use retire::Retirements;

/// Container ID and address of the node: clones of one machine have containers of one ID.
type Key = (Arc<str>, Arc<str>);

/// How many containers move at a time.
const AT_A_TIME: usize = 4;

/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long one container may take, the pull of its image included.
const MOVE_LIMIT: Duration = Duration::from_secs(1800);

/// Reschedules containers of lost nodes while this manager is the primary.
pub async fn watch(
    api: Api,
    cluster: Cluster,
    mut role: watch::Receiver<Role>,
    metrics: Arc<Metrics>,
) {
    loop {
        if role.wait_for(|role| *role == Role::Primary).await.is_err() {
            return;
        }
        let acting = act(&api, &cluster, &metrics);
        tokio::select! {
            () = acting => {}
            lost = role.wait_for(|role| *role != Role::Primary) => {
                if lost.is_err() {
                    return;
                }
            }
        }
        cluster.set_reschedule_status(RescheduleStatus::default());
    }
}

/// Acts as the primary. What is under way when this ends is left for the next.
async fn act(api: &Api, cluster: &Cluster, metrics: &Metrics) {
    let delay = cluster.reschedule_settings().delay;
    let connectivity = Connectivity::new(cluster.clone());
    let mut turns = cluster.turns();
    let mut failures = Failures::default();
    let mut reporter = Reporter::default();
    let mut retirements = Retirements::default();
    let mut moving: JoinSet<(Key, Result<String, moving::MoveError>)> = JoinSet::new();
    let mut under_way: BTreeMap<Key, Orphan> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let mut wake = retirements.begin(cluster, cluster.superseded());
        let mut wake_at = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        let orphans = cluster.orphans();
        failures.forget_all_but(orphans.iter().map(Orphan::key));
        reporter.forget_all_but(orphans.iter().map(Orphan::key));
        let (contact, contact_since) = cluster.observe_contact();
        let mut status = RescheduleStatus {
            suspended: contact_since.is_none().then_some(contact),
            ..RescheduleStatus::default()
        };
        for orphan in orphans {
            let key = orphan.key();
            if under_way.contains_key(&key) {
                continue;
            }
            let retry_at = failures.retry_at(&key);
            let due = due(orphan.lost_at, contact_since, delay, retry_at);
            let Some(due) = due else { continue };
            if due > now {
                wake_at(due.max(now + FIRST_PAUSE / 4));
                continue;
            }
            let source = match decide(cluster, &orphan) {
                Ok(source) => source,
                Err(rejected) => {
                    reporter.rejected(&orphan, &rejected);
                    let count = status.rejected.entry(rejected.kind().to_owned());
                    *count.or_default() += 1;
                    // The other container may go.
                    wake_at(now + LONGEST_PAUSE);
                    continue;
                }
            };
            if under_way.len() >= AT_A_TIME {
                wake_at(now + FIRST_PAUSE / 4);
                continue;
            }
            reporter.accepted(cluster, &orphan, &source);
            under_way.insert(key.clone(), orphan.clone());
            let (api, cluster) = (api.clone(), cluster.clone());
            let connectivity = connectivity.clone();
            moving.spawn(async move {
                let moved =
                    moving::to_another_node(&api, &cluster, &connectivity, &orphan, &source);
                let moved = tokio::time::timeout(MOVE_LIMIT, moved).await;
                let moved = moved.unwrap_or(Err(moving::MoveError::TooSlow(MOVE_LIMIT)));
                (key, moved)
            });
            // Verifying takes the processor's time.
            tokio::task::yield_now().await;
        }
        if contact_since.is_none() {
            // A node that failed once, and answers again, is no turn.
            wake_at(now + FIRST_PAUSE);
        }
        reporter.suspended(&status);
        cluster.set_reschedule_status(status);
        tokio::select! {
            turned = turns.changed() => {
                if turned.is_err() {
                    return;
                }
                // A new node may be the one that was missing.
                failures.retry_at_once();
            }
            Some(Ok((key, moved))) = moving.join_next() => {
                metrics.rescheduled(moved.is_ok());
                if let Some(orphan) = under_way.remove(&key) {
                    failures.note(&orphan, &moved);
                }
            }
            () = retirements.next() => {}
            () = until(wake) => {}
        }
    }
}

/// Decides what a lost container is created from.
fn decide(cluster: &Cluster, orphan: &Orphan) -> Result<Source, Rejected> {
    let notary = cluster.notary();
    let request = orphan.request(notary.as_ref());
    let reported = Recreation::new(&Source::Inspect, &orphan.inspect, orphan.node.cpus);
    eligibility::source(Facts {
        in_use_by: orphan.in_use_by(notary.as_ref(), request.is_ok()),
        // Without TLS everyone reaches the engines, and their volumes, anyway.
        privilege: first_privilege(&reported.config, notary.is_none()),
        request,
        allow_unverified: cluster.reschedule_settings().allow_unverified,
    })
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// What could not be moved, and when it is tried again.
#[derive(Default)]
struct Failures(BTreeMap<Key, Failed>);

struct Failed {
    times: u32,
    until: Option<Instant>,
    why: String,
}

impl Failures {
    fn retry_at(&self, key: &Key) -> Option<Instant> {
        self.0.get(key)?.until
    }

    fn forget_all_but(&mut self, keys: impl Iterator<Item = Key>) {
        if !self.0.is_empty() {
            let keys: BTreeSet<_> = keys.collect();
            self.0.retain(|key, _| keys.contains(key));
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
                self.0.remove(&orphan.key());
                return;
            }
            Err(error) => error.to_string(),
        };
        let failed = self.0.entry(orphan.key()).or_insert(Failed {
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
