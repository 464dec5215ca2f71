//! What becomes of two containers of which one was created in the place of the other, once the node
//! of the original is back.
//!
//! If the original never stopped, it was the network that failed, and the copy is retired. Otherwise
//! the original is. The loser is stopped, stays stopped, is renamed, and keeps its volumes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use rmachine_engine::EngineError;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::{Id, JoinSet};

use super::pause;
use crate::api::encode;
use crate::cluster::{Cluster, ContainerRef, Superseded, corrected, retired_name};

/// How long it may take to stop before it is killed: nobody may wait for two at once.
const STOP_SECONDS: u64 = 10;

/// How long its engine may take for everything.
const RETIRE_LIMIT: Duration = Duration::from_secs(60);

/// How many are retired at a time on one node. A node that hangs must not keep others waiting.
const AT_A_TIME_PER_NODE: usize = 4;

type Key = (Arc<str>, Arc<str>);

/// The one of two containers that stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Winner {
    Original,
    Successor,
}

/// Retirements under way, and those that failed and are tried again.
#[derive(Default)]
pub struct Retirements {
    tasks: JoinSet<bool>,
    under_way: BTreeMap<Key, Id>,
    failed: BTreeMap<Key, (u32, Instant)>,
}

impl Retirements {
    /// Begins what is due, and returns when the next one is.
    pub fn begin(&mut self, cluster: &Cluster, superseded: Vec<Superseded>) -> Option<Instant> {
        let now = Instant::now();
        let keys: Vec<Key> = superseded.iter().map(|it| key(&it.original)).collect();
        self.failed.retain(|key, _| keys.contains(key));
        let mut next: Option<Instant> = None;
        for (key, pair) in keys.into_iter().zip(superseded) {
            if self.under_way.contains_key(&key) {
                continue;
            }
            let retry_at = self.failed.get(&key).map(|(_, at)| *at);
            if let Some(at) = retry_at.filter(|at| *at > now) {
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            let on_node = self.under_way.keys().filter(|(_, addr)| *addr == key.1);
            if on_node.count() >= AT_A_TIME_PER_NODE {
                continue;
            }
            let cluster = cluster.clone();
            let task = async move { resolve(&cluster, &pair).await };
            self.under_way.insert(key, self.tasks.spawn(task).id());
        }
        next
    }

    /// Waits until one is done; for ever if none is under way.
    pub async fn next(&mut self) {
        let (id, is_done) = match self.tasks.join_next_with_id().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => (error.id(), false),
            None => return std::future::pending().await,
        };
        let key = self.under_way.iter().find(|(_, task)| **task == id);
        let Some(key) = key.map(|(key, _)| key.clone()) else {
            return;
        };
        self.under_way.remove(&key);
        if is_done {
            self.failed.remove(&key);
        } else {
            let (times, at) = self.failed.entry(key).or_insert((0, Instant::now()));
            *at = Instant::now() + pause(*times);
            *times = times.saturating_add(1);
        }
    }
}

fn key(container: &ContainerRef) -> Key {
    (
        Arc::clone(&container.id),
        Arc::clone(&container.node.about.addr),
    )
}

/// Retires one of two containers. Returns whether that is done.
async fn resolve(cluster: &Cluster, pair: &Superseded) -> bool {
    let (original, successor) = (&pair.original, &pair.successor);
    let retired = tokio::time::timeout(RETIRE_LIMIT, async {
        let path = format!("/containers/{}/json", encode(&original.id));
        let engine = &original.node.engine;
        let inspect = engine.call(Method::GET, &path, None).await?;
        let winner = winner(&inspect, original.node.about.skew, pair.lost_at);
        let loser = match winner {
            Winner::Original => successor,
            Winner::Successor => original,
        };
        let name = retired_name(&loser.name, &loser.id);
        retire(loser, &name).await?;
        Ok::<_, EngineError>((winner, name))
    });
    let (name, node) = (&original.name, &original.node.about.name);
    let is_done = match retired.await {
        Ok(Ok((Winner::Successor, kept_as))) => {
            tracing::warn!(
                "container {name} came back with {node}, but was rescheduled: it is stopped, and \
                 kept as {kept_as}"
            );
            true
        }
        Ok(Ok((Winner::Original, kept_as))) => {
            let copy_node = &successor.node.about.name;
            tracing::warn!(
                "container {name} on {node} never stopped: its copy on {copy_node} is stopped, \
                 and kept as {kept_as}"
            );
            true
        }
        Ok(Err(error)) => {
            tracing::warn!("container {name} on {node} and its copy: {error}");
            false
        }
        Err(_) => {
            tracing::warn!("container {name} on {node} or its copy does not stop");
            false
        }
    };
    for container in [original, successor] {
        cluster.touched(&container.node.about.addr, &container.id);
    }
    cluster.settle().await;
    is_done
}

/// Decides which of two containers stays, by the inspected original. `lost_at` is when its node was
/// lost, in seconds by our clock; `skew` is how far the engine's clock is ahead of it.
fn winner(original: &Value, skew: i64, lost_at: i64) -> Winner {
    let state = |key: &str| original.get("State").and_then(|state| state.get(key));
    let is_running = state("Running").and_then(Value::as_bool) == Some(true)
        && state("Restarting").and_then(Value::as_bool) != Some(true);
    let started_at = state("StartedAt")
        .and_then(Value::as_str)
        .and_then(|time| corrected(time, skew))
        .and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
    if is_running && started_at.is_some_and(|time| time.unix_timestamp() < lost_at) {
        Winner::Original
    } else {
        Winner::Successor
    }
}

/// Stops a container, so that it stays stopped, and gives it another name.
async fn retire(container: &ContainerRef, name: &str) -> Result<(), EngineError> {
    let engine = &container.node.engine;
    let path = format!("/containers/{}", encode(&container.id));
    let never = json!({"RestartPolicy": {"Name": "no"}});
    let update = format!("{path}/update");
    engine.call(Method::POST, &update, Some(&never)).await?;
    let stop = format!("{path}/stop?t={STOP_SECONDS}");
    engine.call(Method::POST, &stop, None).await?;
    let rename = format!("{path}/rename?name={}", encode(name));
    engine.call(Method::POST, &rename, None).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2001-09-09T01:46:40Z.
    const LOST_AT: i64 = 1_000_000_000;

    #[test]
    fn original_wins_only_if_it_never_stopped() {
        use Winner::{Original, Successor};
        let state = |running: bool, started_at: &str| json!({"State": {"Running": running, "StartedAt": started_at}});
        let restarting = json!({"State": {
            "Running": true, "Restarting": true, "StartedAt": "2001-09-09T01:00:00Z",
        }});
        for (inspect, skew, expected) in [
            (state(true, "2001-09-09T01:46:39.5Z"), 0, Original),
            (state(true, "2001-09-09T01:46:41Z"), 0, Successor),
            (state(false, "2001-09-09T01:00:00Z"), 0, Successor),
            (restarting, 0, Successor),
            // The engine's clock is an hour ahead, or behind.
            (state(true, "2001-09-09T02:46:39Z"), 3600, Original),
            (state(true, "2001-09-09T02:46:41Z"), 3600, Successor),
            (state(true, "2001-09-09T00:46:41Z"), -3600, Successor),
            (state(true, "0001-01-01T00:00:00Z"), 0, Successor),
            (state(true, "yesterday"), 0, Successor),
            (json!({"State": {"Running": true}}), 0, Successor),
            (json!({"State": []}), 0, Successor),
            (json!([]), 0, Successor),
        ] {
            assert_eq!(
                winner(&inspect, skew, LOST_AT),
                expected,
                "{inspect} {skew}"
            );
        }
    }
}
