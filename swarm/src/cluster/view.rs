//! What the cluster shows of its nodes and containers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use rmachine_engine::{ApiWindow, Engine};
use rswarm_scheduler::node::{Counts, Resources};
use serde_json::value::RawValue;

use super::node::NodeStatus;

/// What an engine says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// The engine's own id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is reached, `host:port`.
    pub addr: Arc<str>,
    /// The address under which ports are reached that it publishes.
    pub ip: String,
    /// Its processors.
    pub cpus: u64,
    /// Its memory in bytes.
    pub memory: u64,
    /// Its labels, those that constraints look at included.
    pub labels: BTreeMap<String, String>,
    /// The engine's version.
    pub version: String,
    /// The versions of the API that it speaks.
    pub api: ApiWindow,
    /// How far its clock is ahead of the manager's, in seconds; 0 for what is no matter.
    pub skew: i64,
}

/// A node that has answered, and how to speak with it.
#[derive(Clone)]
pub struct NodeEngine {
    /// Its engine.
    pub engine: Arc<Engine>,
    /// What the engine says of itself.
    pub about: Arc<About>,
    /// It answers now.
    pub is_healthy: bool,
}

/// A node, as `docker info` shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeView {
    /// Where it is reached, `host:port`.
    pub addr: Arc<str>,
    /// What the engine says of itself, once it has answered.
    pub about: Option<Arc<About>>,
    /// What it is.
    pub status: NodeStatus,
    /// How many containers do what.
    pub counts: Counts,
    /// How many images it has.
    pub images: usize,
    /// What containers hold.
    pub reserved: Resources,
    /// What there is to hold, with the overcommit.
    pub total: Resources,
    /// Why it is not as it should be, and what helps.
    pub error: Option<String>,
    /// When it was last looked at.
    pub updated_at: SystemTime,
}

/// A container that a name means.
#[derive(Clone)]
pub struct ContainerRef {
    /// The engine's id.
    pub id: Arc<str>,
    /// Its own name, without a slash before it.
    pub name: Arc<str>,
    /// The id that it keeps when it moves.
    pub swarm_id: Option<Arc<str>>,
    /// Its node.
    pub node: NodeEngine,
}

/// A name that means nothing, or more than one thing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NotFound {
    /// What it could mean, as `NODE/name`.
    pub candidates: Vec<String>,
}

/// An image, a volume or a network of a node: the engine's JSON with what names it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The id; of a volume its name.
    pub id: Arc<str>,
    /// Its names: tags and digests of an image, the one name of others.
    pub names: Box<[Arc<str>]>,
    /// The driver of a volume or network, empty for an image.
    pub driver: Box<str>,
    /// The scope of a volume or network, empty for an image.
    pub scope: Box<str>,
    /// The item of the engine's list.
    pub json: Box<RawValue>,
}

/// The objects of a node.
#[derive(Clone)]
pub struct NodeObjects {
    /// The node.
    pub node: NodeEngine,
    /// Its objects.
    pub objects: Arc<[Object]>,
}
