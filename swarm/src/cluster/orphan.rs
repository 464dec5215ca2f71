//! Containers that move when their node is lost: what must be known to create them elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rswarm_scheduler::State as Doing;
use serde_json::Value;
use tokio::sync::watch;

use super::Cluster;
use super::index::Key;
use super::member::Member;
use super::node::NodeStatus;
use super::state::State;
use super::succession::{Holding, Original, is_retired, unix_seconds};
use super::view::{About, ContainerRef};
use crate::statement::{Holder, Notary, Predecessor, STATEMENT_LABEL, SignedStatement, Unverified};

/// How long before its engine fell silent a container may have been killed by that engine's end.
const LAST_MOMENTS: Duration = Duration::from_secs(120);

/// A container whose node is lost, and that is to be created on another one.
#[derive(Clone)]
pub struct Orphan {
    /// Container ID.
    pub id: Arc<str>,
    /// Name without a slash before it.
    pub name: Arc<str>,
    /// Swarm ID, which it keeps.
    pub swarm_id: Arc<str>,
    /// Lost node.
    pub node: Arc<About>,
    /// Since when the node is silent.
    pub lost_at: Instant,
    /// Whether it ran until the node was lost.
    pub was_running: bool,
    /// Last answer of its engine to an inspect.
    pub inspect: Arc<Value>,
    /// Container that was created in its place, and not started yet.
    pub begun: Option<ContainerRef>,
    /// Its statement, if it has one that can be read. Not verified.
    statement: Option<Arc<SignedStatement>>,
    /// Whether no other node reports the engine ID of its node.
    is_unique: bool,
    /// Containers with the same swarm ID on nodes that answer.
    holders: Vec<Holding>,
}

impl Orphan {
    /// What tells it from every other container: its ID and the address of its node.
    pub fn key(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.id), Arc::clone(&self.node.addr))
    }

    /// Its entry in the statement of what replaces it.
    pub fn predecessor(&self) -> Predecessor {
        Predecessor {
            id: self.id.to_string(),
            engine: self.node.id.clone(),
            lost_at: unix_seconds(self.lost_at),
        }
    }

    /// The request that it was created with, if a manager of this cluster signed that.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn request(&self, notary: Option<&Notary>) -> Result<Value, Unverified> {
        let notary = notary.ok_or(Unverified::NoTls)?;
        let statement = self.readable_statement()?;
        let env = self.inspect.pointer("/Config/Env").unwrap_or(&Value::Null);
        notary.request(statement, &self.holder(), env)
    }

    /// The containers that it replaced itself, if a manager of this cluster stated that.
    pub fn predecessors(&self, notary: Option<&Notary>) -> &[Predecessor] {
        let verified = notary.zip(self.statement.as_deref());
        match verified {
            Some((notary, statement)) if notary.verify(statement, &self.holder()).is_ok() => {
                statement.replaces()
            }
            _ => &[],
        }
    }

    /// Another container that has its swarm ID, as `NODE/NAME`. A verified container gives way to
    /// verified ones only: any node can set a label.
    pub fn in_use_by(&self, notary: Option<&Notary>, is_verified: bool) -> Option<String> {
        let is_begun = |holder: &ContainerRef| {
            self.begun.as_ref().is_some_and(|begun| {
                begun.id == holder.id && begun.node.about.addr == holder.node.about.addr
            })
        };
        let mut others = self
            .holders
            .iter()
            .filter(|holder| !is_begun(&holder.container));
        let found = others.find(|holder| {
            !is_verified || notary.is_some_and(|notary| holder.is_verified(notary))
        })?;
        let container = &found.container;
        Some(format!("{}/{}", container.node.about.name, container.name))
    }

    fn readable_statement(&self) -> Result<&SignedStatement, Unverified> {
        let label = || {
            let labels = self.inspect.pointer("/Config/Labels");
            labels.is_some_and(|labels| labels.get(STATEMENT_LABEL).is_some())
        };
        match &self.statement {
            Some(statement) => Ok(statement),
            None if label() => Err(Unverified::Malformed),
            None => Err(Unverified::NoStatement),
        }
    }

    fn holder(&self) -> Holder<'_> {
        Holder {
            engine: &self.node.id,
            address: &self.node.addr,
            is_unique: self.is_unique,
            swarm_id: &self.swarm_id,
        }
    }
}

/// Orphans of nodes that left the discovery.
pub(crate) type Departed = BTreeMap<Key, Orphan>;

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
    /// The containers to be rescheduled now that this node is lost. Retired ones stay.
    fn orphans(&self) -> impl Iterator<Item = Orphan> + '_ {
        let lost_at = self.silent_since.unwrap_or_else(Instant::now);
        self.kept.iter().filter_map(move |(id, kept)| {
            let resident = self.node.resident(id)?;
            if is_retired(&resident.name, id) {
                return None;
            }
            Some(Orphan {
                id: Arc::clone(id),
                name: Arc::clone(&resident.name),
                swarm_id: resident.swarm_id()?.into(),
                node: Arc::clone(self.about.as_ref()?),
                lost_at,
                was_running: kept.was_running(resident.state, lost_at),
                inspect: Arc::clone(&kept.inspect),
                begun: None,
                statement: self.statements.get(id).cloned(),
                is_unique: false,
                holders: Vec::new(),
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
            .extend(orphans.map(|orphan| (orphan.key(), orphan)));
    }

    /// Forgets the orphans of this ID that were on an engine which is back.
    pub(crate) fn returned(&mut self, id: &Arc<str>, engine: &str) {
        self.departed
            .retain(|(departed, _), orphan| departed != id || orphan.node.id != engine);
    }
}

impl Cluster {
    /// The containers to be created elsewhere, the oldest first.
    pub fn orphans(&self) -> Vec<Orphan> {
        let (mut orphans, claims) = {
            let state = self.read();
            let members = state.members.values();
            let lost = members.filter(|member| member.life.status() == NodeStatus::Unhealthy);
            let orphans = lost.flat_map(Member::orphans);
            let orphans = orphans.chain(state.departed.values().cloned());
            let orphans: Vec<_> = orphans.collect();
            if orphans.is_empty() {
                return orphans;
            }
            let ids = state.engine_ids();
            let orphans = orphans.into_iter().map(|orphan| {
                let about = |addr: &str| state.members.get(addr)?.about.as_ref();
                let own = about(&orphan.node.addr).filter(|about| about.id == orphan.node.id);
                let count = ids.get(orphan.node.id.as_str()).copied().unwrap_or(0);
                let key = (&*orphan.id, &*orphan.node.addr);
                Orphan {
                    is_unique: count == usize::from(own.is_some()),
                    holders: state.holders_of(&orphan.swarm_id, key, &ids),
                    ..orphan
                }
            });
            (orphans.collect::<Vec<_>>(), state.claims(&ids))
        };
        // Signatures are verified without the lock.
        let notary = self.notary();
        orphans.retain_mut(|orphan| {
            let question = Original {
                id: &orphan.id,
                name: &orphan.name,
                swarm_id: &orphan.swarm_id,
                engine: &orphan.node.id,
                addr: &orphan.node.addr,
            };
            let Some((successor, _)) = claims.successor(&question, notary.as_ref()) else {
                return true;
            };
            let is_begun = successor.doing == Doing::Created && orphan.was_running;
            orphan.begun = is_begun.then(|| successor.container.clone());
            is_begun
        });
        let created = |orphan: &Orphan| {
            let created = orphan.inspect.get("Created");
            created.and_then(Value::as_str).map(str::to_owned)
        };
        orphans.sort_by_cached_key(created);
        orphans
    }

    /// Forgets an orphan that was created elsewhere.
    pub fn moved(&self, orphan: &Orphan) {
        let mut state = self.write();
        state.departed.remove(&orphan.key());
        let member = state.members.get(&orphan.node.addr);
        // A node that is back reports its containers itself.
        if member.is_some_and(|member| !member.life.is_healthy()) {
            state.forget(&orphan.node.addr, &orphan.id);
        }
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
