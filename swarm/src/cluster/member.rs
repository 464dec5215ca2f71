//! A node with all that is known of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rmachine_engine::Engine;
use rswarm_scheduler::Node;
use rswarm_scheduler::node::NodeSpec;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::node::{Life, Turn};
use super::orphan::Kept;
use super::settings::ClusterSettings;
use super::view::{About, NodeEngine, NodeView, Object};
use crate::statement::SignedStatement;

/// A node of the cluster.
pub(crate) struct Member {
    pub(crate) addr: Arc<str>,
    /// The engine of the last connection that came about.
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) about: Option<Arc<About>>,
    pub(crate) life: Life,
    /// What the scheduler knows of it.
    pub(crate) node: Node,
    pub(crate) objects: Objects,
    pub(crate) updated_at: SystemTime,
    pub(crate) changes: Changes,
    /// Containers that were removed lately: a list may be older than that.
    pub(crate) removed: BTreeMap<Arc<str>, Instant>,
    /// Containers that move when the node is lost.
    pub(crate) kept: BTreeMap<Arc<str>, Kept>,
    /// Statements of its containers, verified or not, by container ID.
    pub(crate) statements: BTreeMap<Arc<str>, Arc<SignedStatement>>,
    /// Since when it does not answer.
    pub(crate) silent_since: Option<Instant>,
    /// Wakes the node's task when there is something to read.
    pub(crate) wake: Arc<Notify>,
    /// Ends the node's task.
    pub(crate) stop: CancellationToken,
}

/// What a node has besides containers.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) images: Arc<[Object]>,
    pub(crate) volumes: Arc<[Object]>,
    pub(crate) networks: Arc<[Object]>,
}

/// A kind of [`Objects`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum ObjectKind {
    Images,
    Volumes,
    Networks,
}

impl Member {
    pub(crate) fn new(addr: Arc<str>, settings: &ClusterSettings) -> Self {
        let spec = NodeSpec {
            addr: addr.to_string(),
            ..NodeSpec::default()
        };
        let mut node = Node::new(spec, settings.overcommit);
        node.set_health(0);
        Self {
            addr,
            engine: None,
            about: None,
            life: Life::new(settings.failure_retry),
            node,
            objects: Objects::default(),
            updated_at: SystemTime::now(),
            changes: Changes::default(),
            removed: BTreeMap::new(),
            kept: BTreeMap::new(),
            statements: BTreeMap::new(),
            silent_since: None,
            wake: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// How to speak with it, once it has answered.
    pub(crate) fn node_engine(&self) -> Option<NodeEngine> {
        Some(NodeEngine {
            engine: Arc::clone(self.engine.as_ref()?),
            about: Arc::clone(self.about.as_ref()?),
            is_healthy: self.life.is_healthy(),
        })
    }

    /// Notes a failure that speaks against the node.
    pub(crate) fn failed(&mut self, why: String) -> Option<Turn> {
        self.silent_since.get_or_insert_with(Instant::now);
        let turn = self.life.failed(why);
        self.node.set_health(self.life.health());
        self.updated_at = SystemTime::now();
        turn
    }

    /// Notes an answer.
    pub(crate) fn answered(&mut self, id: &str) -> Result<Option<Turn>, String> {
        let turn = self.life.answered(id);
        if self.life.is_healthy() {
            self.silent_since = None;
        }
        self.node.set_health(self.life.health());
        self.updated_at = SystemTime::now();
        turn
    }

    /// As `docker info` shows it.
    pub(crate) fn view(&self) -> NodeView {
        NodeView {
            addr: Arc::clone(&self.addr),
            about: self.about.clone(),
            status: self.life.status(),
            counts: self.node.counts(),
            images: self.objects.images.len(),
            reserved: self.node.used(),
            total: self.node.total(),
            error: self.life.trouble().map(str::to_owned),
            updated_at: self.updated_at,
        }
    }

    /// Whether a person means this node.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        let about = self.about.as_ref();
        about.is_some_and(|about| about.name == text || about.id == text)
            || self.node.spec().id == text
    }
}

impl ObjectKind {
    pub(crate) const ALL: [Self; 3] = [Self::Images, Self::Volumes, Self::Networks];
}

impl Objects {
    pub(crate) fn of(&self, kind: ObjectKind) -> &Arc<[Object]> {
        match kind {
            ObjectKind::Images => &self.images,
            ObjectKind::Volumes => &self.volumes,
            ObjectKind::Networks => &self.networks,
        }
    }

    pub(crate) fn set(&mut self, kind: ObjectKind, objects: Arc<[Object]>) {
        *match kind {
            ObjectKind::Images => &mut self.images,
            ObjectKind::Volumes => &mut self.volumes,
            ObjectKind::Networks => &mut self.networks,
        } = objects;
    }
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            images: Arc::new([]),
            volumes: Arc::new([]),
            networks: Arc::new([]),
        }
    }
}
