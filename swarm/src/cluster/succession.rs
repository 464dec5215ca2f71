//! Which container was created in the place of which.
//!
//! A container replaces another one if the manager itself moved it, or if a verified statement says
//! so. Labels alone prove nothing: any engine, client or image can set them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rswarm_scheduler::{Resident, State as Doing};

use super::Cluster;
use super::index::Key;
use super::orphan::Orphan;
use super::state::State;
use super::view::{ContainerRef, NodeEngine};
use crate::statement::{Holder, Notary, Predecessor, SignedStatement};

/// Most containers of one node that are considered per question. Honest nodes have one or two; a
/// hostile one must not hide those of others, or keep the manager busy.
const MAX_PER_NODE: usize = 4;

/// Length of the part of its ID that a retired container has in its name.
const SHORT_ID: usize = 12;

/// Containers that this manager moved, by what they became.
pub(crate) type Moves = BTreeMap<Key, Move>;

/// A container that this manager moved.
pub(crate) struct Move {
    predecessor: Predecessor,
    swarm_id: Arc<str>,
    name: Arc<str>,
}

/// A container on a node that answers, in whose place another one was created.
#[derive(Clone)]
pub struct Superseded {
    /// The container.
    pub original: ContainerRef,
    /// What was created in its place.
    pub successor: ContainerRef,
    /// When its node was lost, in seconds since the Unix epoch by the manager's clock.
    pub lost_at: i64,
}

/// A container with a statement, and where it was observed.
#[derive(Clone)]
pub(super) struct Holding {
    pub(super) container: ContainerRef,
    pub(super) doing: Doing,
    /// Whether no other node has this engine ID.
    is_unique: bool,
    pub(super) statement: Option<Arc<SignedStatement>>,
}

/// A container that may have been created in the place of another one.
struct Claim {
    successor: Holding,
    predecessor: Predecessor,
    /// Name of both at the time.
    name: Arc<str>,
    /// Swarm ID of both, where the manager itself moved the container.
    moved_as: Option<Arc<str>>,
}

/// Claims by the ID of the container that was replaced.
pub(super) struct Claims(HashMap<Box<str>, Vec<Claim>>);

/// What is known of a container that may have been replaced.
pub(super) struct Original<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) swarm_id: &'a str,
    pub(super) engine: &'a str,
    pub(super) addr: &'a str,
}

impl Holding {
    /// Whether a manager of this cluster created it.
    pub(super) fn is_verified(&self, notary: &Notary) -> bool {
        let Some(statement) = &self.statement else {
            return false;
        };
        let about = &self.container.node.about;
        let holder = Holder {
            engine: &about.id,
            address: &about.addr,
            is_unique: self.is_unique,
            swarm_id: self.container.swarm_id.as_deref().unwrap_or_default(),
        };
        notary.verify(statement, &holder).is_ok()
    }
}

impl Claims {
    /// The container that was created in the place of this one, and when its node was lost.
    pub(super) fn successor(
        &self,
        original: &Original<'_>,
        notary: Option<&Notary>,
    ) -> Option<(&Holding, i64)> {
        let claims = self.0.get(original.id)?.iter();
        let found = claims.clone().find(|claim| claim.holds(original, notary))?;
        Some((&found.successor, found.predecessor.lost_at))
    }
}

impl Claim {
    fn holds(&self, original: &Original<'_>, notary: Option<&Notary>) -> bool {
        let successor = &self.successor.container;
        let is_itself =
            *successor.id == *original.id && *successor.node.about.addr == *original.addr;
        let is_about = !is_itself
            && self.predecessor.engine == original.engine
            && *self.name == *original.name
            && successor.swarm_id.as_deref() == Some(original.swarm_id);
        is_about
            && match &self.moved_as {
                Some(swarm_id) => **swarm_id == *original.swarm_id,
                None => notary.is_some_and(|notary| self.successor.is_verified(notary)),
            }
    }
}

impl State {
    /// Keeps the statement of a container. One that cannot be read is as good as none.
    pub(super) fn keep_statement(&mut self, addr: &str, resident: &Resident) {
        let Some(member) = self.members.get_mut(addr) else {
            return;
        };
        let label = resident.shared_label(crate::statement::STATEMENT_LABEL);
        let Some(label) = label else {
            member.statements.remove(&resident.id);
            return;
        };
        let known = member.statements.get(&resident.id);
        if known.is_some_and(|known| **known.label() == **label) {
            return;
        }
        match SignedStatement::read(label) {
            Ok(statement) => {
                let id = Arc::clone(&resident.id);
                member.statements.insert(id, Arc::new(statement));
            }
            Err(error) => {
                tracing::debug!("statement of container {}: {error}", resident.id);
                member.statements.remove(&resident.id);
            }
        }
    }

    /// How many nodes report each engine ID.
    pub(super) fn engine_ids(&self) -> HashMap<Box<str>, usize> {
        let mut counts = HashMap::with_capacity(self.members.len());
        for about in self.members.values().filter_map(|it| it.about.as_ref()) {
            *counts.entry(about.id.as_str().into()).or_default() += 1;
        }
        counts
    }

    pub(super) fn holding(&self, key: &Key, ids: &HashMap<Box<str>, usize>) -> Option<Holding> {
        let container = self.reference(self.index.get(key)?)?;
        let member = self.members.get(&key.1)?;
        Some(Holding {
            doing: member.node.resident(&key.0)?.state,
            is_unique: ids.get(container.node.about.id.as_str()) == Some(&1),
            statement: member.statements.get(&key.0).cloned(),
            container,
        })
    }

    /// All containers that may have been created in the place of others.
    pub(super) fn claims(&self, ids: &HashMap<Box<str>, usize>) -> Claims {
        let mut claims: HashMap<Box<str>, Vec<Claim>> = HashMap::new();
        for (key, moved) in &self.moves {
            if let Some(successor) = self.unretired(key, ids) {
                let claim = Claim {
                    successor,
                    predecessor: moved.predecessor.clone(),
                    name: Arc::clone(&moved.name),
                    moved_as: Some(Arc::clone(&moved.swarm_id)),
                };
                let id = moved.predecessor.id.as_str().into();
                claims.entry(id).or_default().push(claim);
            }
        }
        for member in self.members.values() {
            let mut of_node: HashMap<&str, usize> = HashMap::new();
            let with_claims = member.statements.iter();
            for (id, statement) in with_claims.filter(|(_, it)| !it.replaces().is_empty()) {
                let key = (Arc::clone(id), Arc::clone(&member.addr));
                let Some(successor) = self.unretired(&key, ids) else {
                    continue;
                };
                for predecessor in statement.replaces() {
                    let count = of_node.entry(&predecessor.id).or_default();
                    if *count == MAX_PER_NODE {
                        continue;
                    }
                    *count += 1;
                    let claim = Claim {
                        successor: successor.clone(),
                        predecessor: predecessor.clone(),
                        name: statement.name().into(),
                        moved_as: None,
                    };
                    let id = predecessor.id.as_str().into();
                    claims.entry(id).or_default().push(claim);
                }
            }
        }
        Claims(claims)
    }

    /// A container that was retired itself no longer stands in anyone's place.
    fn unretired(&self, key: &Key, ids: &HashMap<Box<str>, usize>) -> Option<Holding> {
        let holding = self.holding(key, ids)?;
        (!is_retired(&holding.container.name, &holding.container.id)).then_some(holding)
    }

    /// Containers on nodes that answer with this swarm ID that run, or may be about to.
    pub(super) fn holders_of(
        &self,
        swarm_id: &str,
        other_than: (&str, &str),
        ids: &HashMap<Box<str>, usize>,
    ) -> Vec<Holding> {
        let mut of_node: HashMap<Arc<str>, usize> = HashMap::new();
        let mut holders = Vec::new();
        for container in self.index.of_swarm_id(swarm_id) {
            if (&*container.id, &*container.addr) == other_than {
                continue;
            }
            let key = (Arc::clone(&container.id), Arc::clone(&container.addr));
            let Some(holding) = self.unretired(&key, ids) else {
                continue;
            };
            if !holding.container.node.is_healthy || holding.doing == Doing::Exited {
                continue;
            }
            let count = of_node.entry(Arc::clone(&container.addr)).or_default();
            if *count < MAX_PER_NODE {
                *count += 1;
                holders.push(holding);
            }
        }
        holders
    }
}

impl Cluster {
    /// Remembers that a container was created in the place of a lost one.
    pub fn record_move(&self, orphan: &Orphan, node: &NodeEngine, id: &str) {
        let key: Key = (id.into(), Arc::clone(&node.about.addr));
        let moved = Move {
            predecessor: orphan.predecessor(),
            swarm_id: Arc::clone(&orphan.swarm_id),
            name: Arc::clone(&orphan.name),
        };
        let mut state = self.write();
        if state.index.get(&key).is_some() {
            state.moves.insert(key, moved);
        }
    }

    /// The containers on nodes that answer in whose place others were created.
    pub fn superseded(&self) -> Vec<Superseded> {
        let (claims, candidates) = {
            let state = self.read();
            let mut members = state.members.values();
            if state.moves.is_empty() && members.all(|member| member.statements.is_empty()) {
                return Vec::new();
            }
            let claims = state.claims(&state.engine_ids());
            let candidates: Vec<_> = claims
                .0
                .keys()
                .flat_map(|id| state.index.of_id(id))
                .filter_map(|container| state.reference(container))
                .filter(|container| container.node.is_healthy)
                .collect();
            (claims, candidates)
        };
        // Signatures are verified without the lock.
        let notary = self.notary();
        candidates
            .into_iter()
            .filter_map(|original| {
                let about = &original.node.about;
                let question = Original {
                    id: &original.id,
                    name: &original.name,
                    swarm_id: original.swarm_id.as_deref()?,
                    engine: &about.id,
                    addr: &about.addr,
                };
                let (successor, lost_at) = claims.successor(&question, notary.as_ref())?;
                Some(Superseded {
                    successor: successor.container.clone(),
                    original,
                    lost_at,
                })
            })
            .collect()
    }
}

/// The name of a container that is stopped because another one has its place.
pub fn retired_name(name: &str, id: &str) -> String {
    if is_retired(name, id) {
        return name.to_owned();
    }
    format!("{name}{}", retired_suffix(id))
}

/// Whether a container has such a name.
pub fn is_retired(name: &str, id: &str) -> bool {
    name.ends_with(&retired_suffix(id))
}

fn retired_suffix(id: &str) -> String {
    format!(".replaced-{}", id.get(..SHORT_ID).unwrap_or(id))
}

/// A past moment in seconds since the Unix epoch.
pub(super) fn unix_seconds(moment: Instant) -> i64 {
    let at = SystemTime::now().checked_sub(moment.elapsed());
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_container_is_recognised_by_its_name() {
        let retired = retired_name("web", "0123456789abcdef");
        assert_eq!(retired, "web.replaced-0123456789ab");
        assert!(is_retired(&retired, "0123456789abcdef"));
        assert!(!is_retired("web", "0123456789abcdef"));
        assert!(!is_retired(&retired, "abcdef0123456789"));
        assert_eq!(retired_name(&retired, "0123456789abcdef"), retired);
        assert_eq!(
            retired_name(&retired, "abcdef0123456789"),
            "web.replaced-0123456789ab.replaced-abcdef012345"
        );
    }
}
