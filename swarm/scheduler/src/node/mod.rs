//! What the scheduler knows of a node, kept up to date change by change.

mod capacity;
mod image;
mod lookup;
mod ports;
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use capacity::{Overcommit, OvercommitError, Resources};
pub use image::Image;
pub(crate) use ports::Held;
pub use spec::{NodeSpec, SpecError};

use crate::index::{Bearers, LabelIndex};
use crate::{Request, Resident, State};
use image::ImageIndex;
use ports::PortTable;

/// A node with its containers and images.
///
/// Every change keeps the totals and indexes right, so that a choice among many nodes looks at
/// a few numbers of each. A container is counted once: a pending one gives way to the real one
/// with the same id within the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    total: Resources,
    used: Resources,
    health: u8,
    slots: Option<i64>,
    ports: PortTable,
    residents: BTreeMap<Arc<str>, Box<Resident>>,
    names: Bearers,
    aliases: Bearers,
    swarm_ids: Bearers,
    labels: LabelIndex,
    images: ImageIndex,
    counts: Counts,
    spec: NodeSpec,
    overcommit: Overcommit,
}

/// How many containers do what, as `docker info` counts them. Pending ones are not in it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Running, also between two runs.
    pub running: usize,
    /// Paused.
    pub paused: usize,
    /// All others.
    pub stopped: usize,
}

/// The health of a node that answers: see [`Node::set_health`].
pub const HEALTHY: u8 = 100;

impl Node {
    /// A healthy node without containers and images.
    pub fn new(spec: NodeSpec, overcommit: Overcommit) -> Self {
        let mut node = Self {
            total: Resources::default(),
            used: Resources::default(),
            health: HEALTHY,
            slots: None,
            ports: PortTable::default(),
            residents: BTreeMap::new(),
            names: Bearers::default(),
            aliases: Bearers::default(),
            swarm_ids: Bearers::default(),
            labels: LabelIndex::default(),
            images: ImageIndex::default(),
            counts: Counts::default(),
            spec: NodeSpec::default(),
            overcommit,
        };
        node.set_spec(spec);
        node
    }

    /// What the engine says of itself.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// Takes over what the engine says of itself now; containers and images stay.
    pub fn set_spec(&mut self, spec: NodeSpec) {
        self.total = self.overcommit.apply(spec.resources);
        // Whoever writes something else than a number has set no limit.
        self.slots = spec
            .labels
            .get("containerslots")
            .and_then(|slots| slots.parse().ok());
        self.spec = spec;
        self.used = self
            .residents
            .values()
            .fold(Resources::default(), |sum, resident| {
                sum.plus(self.weight_of(resident))
            });
    }

    /// How well the node answers: 100 always, 0 not at all; less in between for each failure.
    pub fn set_health(&mut self, percent: u8) {
        self.health = percent.min(HEALTHY);
    }

    /// See [`set_health`](Self::set_health).
    pub fn health(&self) -> u8 {
        self.health
    }

    /// Adds a container, or takes over what has changed of it.
    pub fn add(&mut self, mut resident: Resident) {
        if resident.state.is_pending() {
            let is_there = resident.swarm_id().is_some_and(|id| self.has_created(id));
            if is_there {
                return;
            }
        } else if let Some(pending) = self.pending_of(&resident) {
            self.remove(&pending);
        }
        self.remove(&Arc::clone(&resident.id));

        resident.labels.shrink_to_fit();
        for (key, value) in &mut resident.labels {
            self.labels.add(key, value);
        }
        let id = Arc::clone(&resident.id);
        if !resident.name.is_empty() {
            self.names.add(&resident.name, &id);
        }
        for alias in &resident.aliases {
            self.aliases.add(alias, &id);
        }
        if let Some(swarm_id) = resident.shared_label(crate::SWARM_ID_LABEL) {
            self.swarm_ids.add(swarm_id, &id);
        }
        self.ports.add(&resident);
        self.used = self.used.plus(self.weight_of(&resident));
        if let Some(count) = self.counts.of(resident.state) {
            *count += 1;
        }
        self.residents.insert(id, Box::new(resident));
    }

    /// Adds the container that the request asks for, until the engine has it.
    ///
    /// It holds what it asks for like any other. It goes by itself when the real one comes, and
    /// is [removed](Self::remove) by its id when the engine refuses it.
    pub fn reserve(&mut self, swarm_id: &str, request: &Request) {
        let mut labels = request.labels.clone();
        labels.retain(|(key, _)| **key != *crate::SWARM_ID_LABEL);
        labels.push((crate::SWARM_ID_LABEL.into(), swarm_id.into()));
        self.add(Resident {
            name: request.name.as_str().into(),
            labels,
            state: State::Pending,
            cpu_shares: self.cpu_shares(request.cpus),
            memory: request.memory,
            published: request.published.clone(),
            host_ports: request.host_ports.clone(),
            ..Resident::new(swarm_id)
        });
    }

    /// Takes a container away by its full id, and gives it back.
    pub fn remove(&mut self, id: &str) -> Option<Resident> {
        let resident = self.residents.remove(id)?;
        for (key, value) in &resident.labels {
            self.labels.remove(key, value);
        }
        self.names.remove(&resident.name, id);
        for alias in &resident.aliases {
            self.aliases.remove(alias, id);
        }
        if let Some(swarm_id) = resident.swarm_id() {
            self.swarm_ids.remove(swarm_id, id);
        }
        self.ports.remove(id);
        self.used = self.used.minus(self.weight_of(&resident));
        if let Some(count) = self.counts.of(resident.state) {
            *count -= 1;
        }
        Some(*resident)
    }

    /// Notes what a container does now, if it is here.
    pub fn set_state(&mut self, id: &str, state: State) {
        let Some(resident) = self.residents.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut resident.state, state);
        if let Some(count) = self.counts.of(before) {
            *count -= 1;
        }
        if let Some(count) = self.counts.of(state) {
            *count += 1;
        }
    }

    /// Replaces all images.
    pub fn set_images(&mut self, images: impl IntoIterator<Item = Image>) {
        self.images = images.into_iter().collect();
    }

    /// All containers, pending ones too, in the order of their ids.
    pub fn residents(&self) -> impl ExactSizeIterator<Item = &Resident> {
        self.residents.values().map(Box::as_ref)
    }

    /// The container with the full id.
    pub fn resident(&self, id: &str) -> Option<&Resident> {
        self.residents.get(id).map(Box::as_ref)
    }

    /// How many containers do what.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What there is to be used, with the overcommit.
    pub fn total(&self) -> Resources {
        self.total
    }

    /// What containers hold: stopped and pending ones too.
    pub fn used(&self) -> Resources {
        self.used
    }

    /// The engine's shares for a number of processors: 1024 are all that it has.
    pub fn cpu_shares(&self, cpus: u64) -> u64 {
        match self.spec.resources.cpus {
            0 => 0,
            all => cpus.saturating_mul(WHOLE).div_ceil(all),
        }
    }

    /// The most containers that the node takes, where it sets a limit.
    pub(crate) fn slots(&self) -> Option<i64> {
        self.slots
    }

    pub(crate) fn ports(&self) -> &PortTable {
        &self.ports
    }

    pub(crate) fn labels(&self) -> &LabelIndex {
        &self.labels
    }

    pub(crate) fn images(&self) -> &ImageIndex {
        &self.images
    }

    /// What the container holds of the node, by the shares it has.
    pub(crate) fn weight_of(&self, resident: &Resident) -> Resources {
        let cpus = resident.cpu_shares.saturating_mul(self.spec.resources.cpus) / WHOLE;
        Resources {
            cpus: cpus.min(MOST),
            memory: resident.memory.min(MOST),
        }
    }

    fn has_created(&self, swarm_id: &str) -> bool {
        self.swarm_ids.of(swarm_id).any(|id| {
            self.resident(id)
                .is_some_and(|resident| !resident.state.is_pending())
        })
    }

    fn pending_of(&self, resident: &Resident) -> Option<Arc<str>> {
        let pending = self.resident(resident.swarm_id()?)?;
        pending.state.is_pending().then(|| Arc::clone(&pending.id))
    }
}

/// More than this no container counts for, so that sums never run over: a PiB, as memory.
const MOST: u64 = 1 << 50;

/// The engine's shares that stand for all of its processors.
const WHOLE: u64 = 1024;

impl Counts {
    fn of(&mut self, state: State) -> Option<&mut usize> {
        match state {
            State::Pending => None,
            State::Running => Some(&mut self.running),
            State::Paused => Some(&mut self.paused),
            State::Created | State::Exited => Some(&mut self.stopped),
        }
    }
}

#[cfg(test)]
mod tests;
