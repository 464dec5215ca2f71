//! The state of all nodes, and the changes that keep its parts in step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rswarm_scheduler::{Label, Resident};

use super::contact::Left;
use super::container::Container;
use super::index::{Found, Index, Key};
use super::member::Member;
use super::orphan::Departed;
use super::succession::Moves;
use super::view::{ContainerRef, NotFound};

/// How old a list can be when it is taken over: an engine has no longer to answer.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// All that is known of the cluster.
#[derive(Default)]
pub(crate) struct State {
    /// The nodes by where they are, and in that order.
    pub(crate) members: IndexMap<Arc<str>, Member>,
    /// The containers of all nodes.
    pub(crate) index: Index,
    /// Names given to containers that no engine has yet.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// Containers that move, of nodes that the discovery no longer knows.
    pub(crate) departed: Departed,
    /// Containers that this manager moved, by what they became.
    pub(crate) moves: Moves,
    /// Nodes that left the discovery.
    pub(crate) left: Left,
}

impl State {
    /// Takes over what a node's engine says of one of its containers.
    ///
    /// What only an inspection tells is kept from the last one. Says whether there was one.
    pub(crate) fn put(&mut self, mut container: Container, mut resident: Resident) -> bool {
        let Some(member) = self.members.get_mut(&container.addr) else {
            return true;
        };
        if member.removed.contains_key(&container.id) {
            return true;
        }
        let key = (Arc::clone(&container.id), Arc::clone(&container.addr));
        let before = self.index.get(&key);
        let known = member.node.resident(&container.id);
        if let Some((before, known)) = before.zip(known) {
            container.share(before);
            share(&mut resident, known);
            if before.is_inspected && !container.is_inspected {
                container.is_inspected = true;
                keep_inspected(&mut resident, known);
            }
        }
        let is_inspected = container.is_inspected;
        if !self.departed.is_empty()
            && let Some(about) = member.about.clone()
        {
            self.returned(&container.id, &about.id);
        }
        self.keep_statement(&key.1, &resident);
        if let Some(member) = self.members.get_mut(&key.1) {
            member.node.add(resident);
        }
        self.index.insert(container);
        is_inspected
    }

    /// Takes over what an inspection tells.
    pub(crate) fn inspected(&mut self, addr: &Arc<str>, resident: Resident) {
        let key = (Arc::clone(&resident.id), Arc::clone(addr));
        let (Some(member), Some(container)) =
            (self.members.get_mut(addr), self.index.get(&key).cloned())
        else {
            return;
        };
        let mut resident = resident;
        if let Some(listed) = member.node.resident(&resident.id) {
            // Names that links made are in lists only.
            resident.aliases.clone_from(&listed.aliases);
            share(&mut resident, listed);
        }
        self.keep_statement(addr, &resident);
        if let Some(member) = self.members.get_mut(addr) {
            member.node.add(resident);
        }
        let mut container = Arc::unwrap_or_clone(container);
        container.is_inspected = true;
        self.index.insert(container);
    }

    /// Forgets a container of a node.
    pub(crate) fn forget(&mut self, addr: &Arc<str>, id: &Arc<str>) {
        let key = (Arc::clone(id), Arc::clone(addr));
        self.index.remove(&key);
        self.moves.remove(&key);
        if let Some(member) = self.members.get_mut(addr) {
            member.node.remove(id);
            member.changes.forget(id);
            member.kept.remove(id);
            member.statements.remove(id);
        }
    }

    /// Forgets a container that is known to be gone, so that no list which is on its way brings it
    /// back. Those that it was linked to lose the names that they had by it, and are read again.
    pub(crate) fn remove(&mut self, addr: &Arc<str>, id: &Arc<str>) {
        let container = self.index.get(&(Arc::clone(id), Arc::clone(addr))).cloned();
        self.forget(addr, id);
        let Some(member) = self.members.get_mut(addr) else {
            return;
        };
        member.removed.retain(|_, at| at.elapsed() < ON_ITS_WAY);
        member.removed.insert(Arc::clone(id), Instant::now());
        let Some(name) = container.as_ref().and_then(|gone| gone.names.first()) else {
            return;
        };
        let is_link = |alias: &str| alias.split_once('/').is_some_and(|(by, _)| *by == **name);
        for linked in member.node.residents() {
            if linked.aliases.iter().any(|alias| is_link(alias)) {
                member.changes.container(&linked.id);
                member.wake.notify_one();
            }
        }
    }

    /// Forgets the containers of a node that are not among these; those stay that are pending, or
    /// have changed since that was known.
    pub(crate) fn retain(&mut self, addr: &Arc<str>, there: &BTreeSet<Arc<str>>) {
        let Some(member) = self.members.get(addr) else {
            return;
        };
        let gone: Vec<_> = member
            .node
            .residents()
            .filter(|resident| !resident.state.is_pending() && !there.contains(&resident.id))
            .filter(|resident| !member.changes.is_waiting(&resident.id))
            .map(|resident| Arc::clone(&resident.id))
            .collect();
        for id in gone {
            self.forget(addr, &id);
        }
    }

    /// Takes a node out with all that it has.
    pub(crate) fn take_out(&mut self, addr: &str) -> Option<Member> {
        let member = self.members.shift_remove(addr)?;
        for resident in member.node.residents() {
            let key: Key = (Arc::clone(&resident.id), Arc::clone(&member.addr));
            self.index.remove(&key);
        }
        self.moves.retain(|(_, on), _| **on != *addr);
        Some(member)
    }

    /// The container that a name means.
    pub(crate) fn resolve(&self, text: &str) -> Result<ContainerRef, NotFound> {
        let is_node = |container: &Container, node: &str| {
            let member = self.members.get(&container.addr);
            member.is_some_and(|member| member.is_called(node))
        };
        match self.index.resolve(text, is_node) {
            Found::One(container) => self.reference(container).ok_or_else(NotFound::default),
            Found::None(candidates) => Err(NotFound {
                candidates: candidates
                    .into_iter()
                    .map(|candidate| self.full_name(candidate))
                    .collect(),
            }),
        }
    }

    pub(crate) fn reference(&self, container: &Container) -> Option<ContainerRef> {
        Some(ContainerRef {
            id: Arc::clone(&container.id),
            name: container.names.first().map(Arc::clone).unwrap_or_default(),
            swarm_id: container.swarm_id.clone(),
            node: self.members.get(&container.addr)?.node_engine()?,
        })
    }

    fn full_name(&self, container: &Container) -> String {
        let member = self.members.get(&container.addr);
        let about = member.and_then(|member| member.about.as_ref());
        let node = about.map_or(&*container.addr, |about| &about.name);
        let name = container.names.first().unwrap_or(&container.id);
        format!("{node}/{name}")
    }

    /// Whether the name is reserved, or that of another container than this one, by its id within
    /// the cluster.
    pub(crate) fn is_taken(&self, name: &str, swarm_id: &str) -> bool {
        self.names.contains(name)
            || self.index.named(name).any(|container| {
                container.names.first().is_some_and(|own| **own == *name)
                    && container.swarm_id.as_deref() != Some(swarm_id)
            })
    }

    /// Whether something is to be read again on nodes that answer. A node that has not let itself
    /// be read for so long is not waited for.
    pub(crate) fn is_unsettled(&self, patience: Duration) -> bool {
        let mut members = self.members.values();
        members.any(|member| member.life.is_healthy() && member.changes.are_awaited(patience))
    }
}

/// A list has no wishes in it, only what came of them.
fn keep_inspected(resident: &mut Resident, known: &Resident) {
    resident.cpu_shares = known.cpu_shares;
    resident.memory = known.memory;
    resident.host_ports.clone_from(&known.host_ports);
    resident.published.extend_from_slice(&known.published);
    resident.published.sort_unstable();
    resident.published.dedup();
}

/// Keeps once in memory what is the same as it was.
fn share(resident: &mut Resident, known: &Resident) {
    resident.id = Arc::clone(&known.id);
    if resident.name == known.name {
        resident.name = Arc::clone(&known.name);
    }
    let is_known = |label: &Label| known.labels.contains(label);
    if resident.labels.len() == known.labels.len() && resident.labels.iter().all(is_known) {
        resident.labels.clone_from(&known.labels);
    }
}

#[cfg(test)]
mod tests;
