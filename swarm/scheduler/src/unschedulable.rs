use std::fmt;
use std::sync::Arc;

use crate::{Filter, Node, Port, PublishedPort, Resident, State};

/// Why no node will do. The texts are the original's; what is in its way comes as data.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unschedulable {
    /// There is no node.
    #[error("No nodes available in the cluster")]
    NoNodes,
    /// No node answers.
    #[error("No healthy node available in the cluster")]
    NoHealthyNode,
    /// What is asked for is not to be had on one node.
    #[error(
        "Unable to find a node that satisfies the following conditions {}",
        lists(.conditions)
    )]
    Conditions {
        /// The filter after which no node was left.
        filter: Filter,
        /// What it and those before it asked for.
        conditions: Vec<(Filter, Vec<String>)>,
        /// Containers on the nodes that came that far, some of them if there are many.
        blockers: Vec<Blocker>,
    },
    /// No node has the processors and memory.
    #[error("no resources available to schedule container")]
    NoResources {
        /// Stopped containers that hold some of them, not all if there are many.
        blockers: Vec<Blocker>,
    },
}

/// A container that holds what another asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blocker {
    /// The name of its node.
    pub node: String,
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub state: State,
    /// What it holds.
    pub holds: Holds,
}

/// What a container holds of its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// A port of the host.
    Port(PublishedPort),
    /// A port on the host's own network.
    HostPort(Port),
    /// One of the containers that the node takes.
    Slot,
    /// Processors and memory.
    Resources,
}

impl Unschedulable {
    /// The containers in the way.
    pub fn blockers(&self) -> &[Blocker] {
        match self {
            Self::NoNodes | Self::NoHealthyNode => &[],
            Self::Conditions { blockers, .. } | Self::NoResources { blockers } => blockers,
        }
    }
}

impl Blocker {
    /// More are not told.
    pub(crate) const MOST: usize = 10;

    pub(crate) fn new(node: &Node, resident: &Resident, holds: Holds) -> Self {
        Self {
            node: node.spec().name.clone(),
            id: Arc::clone(&resident.id),
            name: Arc::clone(&resident.name),
            state: resident.state,
            holds,
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        };
        let stopped = if self.state.is_stopped() {
            ", which is stopped,"
        } else {
            ""
        };
        write!(f, "container {}/{name}{stopped} holds ", self.node)?;
        match self.holds {
            Holds::Port(published) => write!(f, "port {published}"),
            Holds::HostPort(port) => write!(f, "port {port} on the host's network"),
            Holds::Slot => f.write_str("a container slot"),
            Holds::Resources => f.write_str("processors or memory"),
        }
    }
}

/// One line for each filter that asks for something, the way Go prints lists.
fn lists(conditions: &[(Filter, Vec<String>)]) -> String {
    conditions
        .iter()
        .filter(|(_, conditions)| !conditions.is_empty())
        .map(|(_, conditions)| format!("\n[{}]", conditions.join(" ")))
        .collect()
}
