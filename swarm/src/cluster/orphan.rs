//! Containers that move when their node is lost: what must be known to create them elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rswarm_scheduler::{Resident, State as Doing};
use serde_json::Value;
use tokio::sync::watch;

use super::Cluster;
use super::member::Member;
use super::node::NodeStatus;
use super::state::State;
use super::view::{About, ContainerRef};

/// The label with the ids of the containers in whose place one was created, the last first.
pub const REPLACES_LABEL: &str = "io.rmachine.rswarm.replaces";

/// How long before its engine fell silent a container may have been killed by that engine's end.
const LAST_MOMENTS: Duration = Duration::from_secs(120);

/// A container whose node is lost, and that wants to be on another one.
#[derive(Clone)]
pub struct Orphan {
    /// The engine's id.
    pub id: Arc<str>,
    /// Its own name, without a slash before it.
    pub name: Arc<str>,
    /// The id that it keeps.
    pub swarm_id: Arc<str>,
    /// The node that it was on.
    pub node: Arc<About>,
    /// Since when that is silent.
    pub lost_at: Instant,
    /// Whether it was running until its node was lost.
    pub was_running: bool,
    /// All that its engine told of it.
    pub inspect: Arc<Value>,
    /// What was created in its place, where that was not started yet.
    pub begun: Option<ContainerRef>,
}

/// The orphans of nodes that are no longer members, by their ids.
pub(crate) type Departed = BTreeMap<Arc<str>, Orphan>;

/// What is kept of a container that moves, while its node can be asked.
#[derive(Clone)]
pub(crate) struct Kept {
    inspect: Arc<Value>,
    /// Somebody wanted it to stop.
    is_to_stop: bool,
    /// It got a signal, since it was started.
    killed_at: Option<Instant>,
}

impl Kept {
    /// Takes an event of the container into account.
    pub(crate) fn heard(&mut self, action: &str) {
        match action {
            "kill" => self.killed_at = Some(Instant::now()),
            "start" => {
                self.killed_at = None;
                self.is_to_stop = false;
            }
            _ => {}
        }
    }

    /// Whether it ran until the engine went silent. An engine that ends in order kills its
    /// containers first, and tells so.
    fn was_running(&self, doing: Doing, silent_since: Instant) -> bool {
        let killed_by_the_end = || {
            let since = self.killed_at;
            since.is_some_and(|at| silent_since.saturating_duration_since(at) < LAST_MOMENTS)
        };
        match doing {
            Doing::Running | Doing::Paused => true,
            Doing::Exited => !self.is_to_stop && killed_by_the_end(),
            Doing::Created | Doing::Pending => false,
        }
    }
}

impl Member {
    /// The containers that want to be elsewhere, now that this node is lost.
    fn orphans(&self) -> impl Iterator<Item = Orphan> + '_ {
        let lost_at = self.silent_since.unwrap_or_else(Instant::now);
        self.kept.iter().filter_map(move |(id, kept)| {
            let resident = self.node.resident(id)?;
            Some(Orphan {
                id: Arc::clone(id),
                name: Arc::clone(&resident.name),
                swarm_id: resident.swarm_id()?.into(),
                node: Arc::clone(self.about.as_ref()?),
                lost_at,
                was_running: kept.was_running(resident.state, lost_at),
                inspect: Arc::clone(&kept.inspect),
                begun: None,
            })
        })
    }
}

impl State {
    /// Keeps what an engine tells of a container that moves.
    pub(crate) fn keep(&mut self, addr: &Arc<str>, id: &Arc<str>, inspect: Value) {
        let Some(member) = self.members.get_mut(addr) else {
            return;
        };
        let inspect = Arc::new(inspect);
        member
            .kept
            .entry(Arc::clone(id))
            .and_modify(|kept| kept.inspect = Arc::clone(&inspect))
            .or_insert(Kept {
                inspect,
                is_to_stop: false,
                killed_at: None,
            });
    }

    /// Keeps the orphans of a node that was taken out.
    pub(crate) fn keep_orphans(&mut self, member: &Member) {
        let orphans = member.orphans();
        self.departed
            .extend(orphans.map(|orphan| (Arc::clone(&orphan.id), orphan)));
    }

    /// An orphan as it stands: none any more where all is done.
    fn as_it_stands(&self, orphan: Orphan) -> Option<Orphan> {
        let Some(successor) = self.replaced.get(&orphan.id) else {
            return Some(orphan);
        };
        let (id, addr) = successor;
        let member = self.members.get(addr)?;
        let is_begun = member.node.resident(id)?.state == Doing::Created;
        let begun = self.reference(self.index.get(successor)?);
        (is_begun && orphan.was_running).then_some(Orphan { begun, ..orphan })
    }
}

impl Cluster {
    /// The containers that are to be created elsewhere, the oldest first.
    pub fn orphans(&self) -> Vec<Orphan> {
        let state = self.read();
        let members = state.members.values();
        let lost = members.filter(|member| member.life.status() == NodeStatus::Unhealthy);
        let orphans = lost.flat_map(Member::orphans);
        let orphans = orphans.chain(state.departed.values().cloned());
        let mut orphans: Vec<_> = orphans.filter_map(|it| state.as_it_stands(it)).collect();
        let created = |orphan: &Orphan| orphan.inspect["Created"].as_str().map(str::to_owned);
        orphans.sort_by_cached_key(created);
        orphans
    }

    /// Forgets an orphan that is another container now.
    pub fn moved(&self, orphan: &Orphan) {
        let mut state = self.write();
        state.departed.remove(&orphan.id);
        let member = state.members.get(&orphan.node.addr);
        // A node that is back shows what it has.
        if member.is_some_and(|member| !member.life.is_healthy()) {
            state.forget(&orphan.node.addr, &orphan.id);
        }
    }

    /// The containers on nodes that answer in whose place others were created.
    pub fn superseded(&self) -> Vec<ContainerRef> {
        let state = self.read();
        let mut superseded = Vec::new();
        for (before, successor) in &state.replaced {
            for container in state.index.of_id(before) {
                let is_successor = container.id == successor.0 && container.addr == successor.1;
                let found = state.reference(container).filter(|_| !is_successor);
                superseded.extend(found.filter(|found| found.node.is_healthy));
            }
        }
        superseded
    }

    /// Notes that somebody wants a container to stop: it is not started where it moves to.
    pub fn is_to_stop(&self, addr: &str, id: &str) {
        let mut state = self.write();
        let member = state.members.get_mut(addr);
        if let Some(kept) = member.and_then(|member| member.kept.get_mut(id)) {
            kept.is_to_stop = true;
        }
    }

    /// Tells whenever a node has come, gone, or come back.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.inner.turns.subscribe()
    }
}

/// The ids of the containers in whose place this one was created.
pub(crate) fn replaced_by(resident: &Resident) -> impl Iterator<Item = &str> {
    let ids = resident.label(REPLACES_LABEL).unwrap_or_default();
    ids.split(',').filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ran_until_the_end_runs_again() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds));
        for (doing, is_to_stop, killed_at, was_running) in [
            (Doing::Running, false, None, true),
            (Doing::Running, true, ago(1), true),
            (Doing::Paused, false, None, true),
            (Doing::Exited, false, ago(10), true),
            (Doing::Exited, true, ago(10), false),
            (Doing::Exited, false, ago(3600), false),
            (Doing::Exited, false, None, false),
            (Doing::Created, false, None, false),
        ] {
            let kept = Kept {
                inspect: Arc::default(),
                is_to_stop,
                killed_at,
            };
            assert_eq!(
                kept.was_running(doing, now),
                was_running,
                "{doing:?} {is_to_stop} {killed_at:?}"
            );
        }
    }

    #[test]
    fn a_start_makes_earlier_stops_void() {
        let mut kept = Kept {
            inspect: Arc::default(),
            is_to_stop: true,
            killed_at: None,
        };
        kept.heard("kill");
        kept.heard("start");
        kept.heard("die");
        assert!(!kept.is_to_stop && kept.killed_at.is_none());
    }
}
