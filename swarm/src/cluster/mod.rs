//! The state of all nodes, kept by events, and the only place that changes it.
//!
//! Each node has a task of its own, which connects to its engine, follows its events and reads what
//! has changed; nothing waits for another node. Everything else looks at the state, under one lock
//! that is never held over I/O. Start reading at [`Cluster`].

mod changes;
mod clock;
mod contact;
mod container;
mod events;
mod hurry;
mod index;
mod listing;
mod member;
mod node;
mod objects;
mod orphan;
mod place;
mod reschedule_status;
mod settings;
mod state;
mod succession;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rmachine_engine::{Engine, EngineError};
use rswarm_discovery::Entry;
use tokio::sync::watch;
use tokio::time::Instant;

pub use clock::corrected;
pub use contact::Contact;
pub use events::{Event, EventStream};
pub use listing::{ListQuery, Listing};
pub use node::NodeStatus;
pub use orphan::Orphan;
pub use place::{PlaceError, Placement, ReservedName};
pub use reschedule_status::RescheduleStatus;
pub use settings::{ClusterSettings, EngineTls, RescheduleSettings};
pub use succession::{Superseded, is_retired, retired_name};
pub use view::{About, ContainerRef, NodeEngine, NodeObjects, NodeView, NotFound, Object};

use contact::ContactLog;
use events::Events;
use hurry::Hurry;
use member::Member;
use state::State;

use crate::statement::Notary;

/// How long a reader waits for what has just changed.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// A cluster of engines. Clones are the same cluster.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ClusterSettings,
    began: Instant,
    state: RwLock<State>,
    events: Events,
    hurry: Hurry,
    /// Counts what was read of changed containers.
    settled: watch::Sender<u64>,
    /// Counts nodes that came, went or came back.
    turns: watch::Sender<u64>,
    /// Since when enough nodes answer.
    contact: Mutex<ContactLog>,
    /// What `docker info` shows of rescheduling.
    reschedule_status: Mutex<RescheduleStatus>,
}

impl Cluster {
    /// A cluster without nodes.
    pub fn new(settings: ClusterSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                began: Instant::now(),
                state: RwLock::default(),
                events: Events::default(),
                hurry: Hurry::default(),
                settled: watch::Sender::new(0),
                turns: watch::Sender::new(0),
                contact: Mutex::default(),
                reschedule_status: Mutex::default(),
            }),
        }
    }

    /// Takes over who belongs to the cluster: who has gone goes at once with all that it has, and
    /// who has come is connected to. Must be called within a runtime of tokio.
    pub fn set_members(&self, members: &BTreeSet<Entry>) {
        let wanted: BTreeSet<Arc<str>> = members
            .iter()
            .map(|entry| entry.to_string().into())
            .collect();
        let mut lost = Vec::new();
        let mut state = self.write();
        let gone: Vec<_> = state
            .members
            .keys()
            .filter(|addr| !wanted.contains(*addr))
            .cloned()
            .collect();
        for addr in gone {
            if let Some(mut member) = state.take_out(&addr) {
                member.stop.cancel();
                tracing::info!("Removed Engine {addr}");
                state.keep_orphans(&member);
                if member.about.is_some() {
                    state
                        .left
                        .insert(Arc::clone(&addr), std::time::Instant::now());
                }
                let turn = member.life.removed();
                lost.extend(turn.zip(member.about));
            }
        }
        for entry in members {
            let addr: Arc<str> = entry.to_string().into();
            if !state.members.contains_key(&addr) {
                let member = Member::new(Arc::clone(&addr), &self.inner.settings);
                node::spawn(self.clone(), entry.clone(), &member);
                state.members.insert_sorted(addr, member);
            }
        }
        let delay = self.inner.settings.reschedule.delay;
        state.left.retain(|_, at| at.elapsed() < delay);
        drop(state);
        self.observe_contact();
        for (turn, about) in lost {
            self.turned(turn, &about);
        }
    }

    /// All nodes, in the order of where they are.
    pub fn nodes(&self) -> Vec<NodeView> {
        let state = self.read();
        let mut nodes: Vec<_> = state.members.values().map(Member::view).collect();
        drop(state);
        name_twins(&mut nodes);
        nodes
    }

    /// The nodes that answer.
    pub fn healthy(&self) -> Vec<NodeEngine> {
        let state = self.read();
        let nodes = state.members.values().filter_map(Member::node_engine);
        nodes.filter(|node| node.is_healthy).collect()
    }

    /// The node at an address, or with that name or id.
    pub fn engine(&self, node: &str) -> Option<NodeEngine> {
        let state = self.read();
        let member = state.members.get(node).or_else(|| {
            let mut members = state.members.values();
            members.find(|member| member.is_called(node))
        });
        member?.node_engine()
    }

    /// The container that a name means: its id, its id within the cluster, its name, `NODE/name`,
    /// or an id's beginning that fits no other.
    ///
    /// # Errors
    /// [`NotFound`], with what an ambiguous name could mean.
    pub fn resolve_container(&self, name: &str) -> Result<ContainerRef, NotFound> {
        self.read().resolve(name)
    }

    /// The containers of a node, those that are being created left out.
    pub fn containers_of(&self, addr: &str) -> Vec<ContainerRef> {
        let state = self.read();
        let Some(member) = state.members.get(addr) else {
            return Vec::new();
        };
        let residents = member.node.residents();
        residents
            .filter_map(|resident| {
                let key = (Arc::clone(&resident.id), Arc::clone(&member.addr));
                state.reference(state.index.get(&key)?)
            })
            .collect()
    }

    /// Says that a container may have changed: it is read as soon as may be.
    pub fn touched(&self, addr: &str, id: &str) {
        let mut state = self.write();
        if let Some(member) = state.members.get_mut(addr) {
            member.changes.container(id);
            member.wake.notify_one();
        }
    }

    /// Forgets a container that is known to be gone.
    pub fn removed(&self, addr: &str, id: &str) {
        self.write().remove(&addr.into(), &id.into());
    }

    /// Reads a container after it was changed, so that who looks next sees it as it is.
    pub async fn refresh_container(&self, addr: &str, id: &str) {
        self.touched(addr, id);
        self.settle().await;
    }

    /// Waits until what has changed on nodes that answer is read, for a few seconds at most.
    pub async fn settle(&self) {
        let mut settled = self.inner.settled.subscribe();
        let _waiting = self.inner.hurry.wait();
        let all_read = async {
            while self.read().is_unsettled(SETTLE_LIMIT) {
                if settled.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(SETTLE_LIMIT, all_read).await.is_err() {
            tracing::debug!("what has changed could not be read within {SETTLE_LIMIT:?}");
        }
    }

    /// All that happens from now on, and before it what happened since a time in nanoseconds.
    pub fn events(&self, since: Option<i64>) -> EventStream {
        self.inner.events.follow(since)
    }

    /// Tells who listens that a node has come, gone, or come back.
    fn turned(&self, turn: node::Turn, about: &About) {
        self.observe_contact();
        self.inner.events.turned(turn, about);
        self.inner.turns.send_modify(|count| *count += 1);
    }

    /// Signs and verifies statements; `None` without `--tlsverify`.
    pub fn notary(&self) -> Option<Notary> {
        let settings = &self.inner.settings;
        let key = settings.tls.manager_key()?;
        Some(Notary::new(
            key,
            Arc::clone(&settings.reschedule.cluster_id),
        ))
    }

    /// How containers of lost nodes are rescheduled.
    pub fn reschedule_settings(&self) -> &RescheduleSettings {
        &self.inner.settings.reschedule
    }

    /// Whether another container than the one with this swarm ID has a name, or is about to get it.
    pub fn is_name_taken(&self, name: &str, swarm_id: &str) -> bool {
        self.read().is_taken(name, swarm_id)
    }

    /// Whether an engine answers on a new connection. An error status is an answer, too.
    pub async fn engine_answers(&self, addr: &str, timeout: Duration) -> bool {
        let Ok(entry) = addr.parse::<Entry>() else {
            return false;
        };
        let Ok(endpoint) = self.inner.settings.tls.endpoint(&entry) else {
            return false;
        };
        let answer = Engine::new(endpoint, timeout).ping().await;
        matches!(answer, Ok(_) | Err(EngineError::Refused { .. }))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.inner
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.inner
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says of nodes with one id that they are clones: neither is hidden.
fn name_twins(nodes: &mut [NodeView]) {
    let mut twins: HashMap<&str, Vec<usize>> = HashMap::with_capacity(nodes.len());
    let abouts: Vec<_> = nodes.iter().map(|node| node.about.clone()).collect();
    for (index, about) in abouts.iter().enumerate() {
        if let Some(about) = about {
            twins.entry(&about.id).or_default().push(index);
        }
    }
    for (id, twins) in twins.into_iter().filter(|(_, twins)| twins.len() > 1) {
        for (place, &index) in twins.iter().enumerate() {
            let other = twins[if place == 0 { 1 } else { 0 }];
            let (addr, other) = (&nodes[index].addr, &nodes[other].addr);
            let told =
                format!("ID duplicated. {id} shared by this node {addr} and another node {other}");
            nodes[index].error.get_or_insert(told);
        }
    }
}
