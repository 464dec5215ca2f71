//! One container on its way to another node.

use std::time::Duration;

use http::Method;
use rmachine_engine::EngineError;
use serde_json::{Value, json};

use super::connectivity::{Connectivity, NotLost};
use super::eligibility::Source;
use super::privileges::remove_defaults;
use super::recreate::Recreation;
use crate::api::{Api, ApiError, Provenance, encode};
use crate::cluster::{Cluster, NodeEngine, Orphan};
use crate::statement::{MAX_PREDECESSORS, Predecessor};

/// Why a container could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It could not be created.
    #[error(transparent)]
    Create(#[from] ApiError),

    /// The new node's engine did not do its part.
    #[error("{node}: {what}: {source}")]
    Engine {
        /// The node.
        node: String,
        /// What it was to do.
        what: String,
        /// What happened.
        source: EngineError,
    },

    /// In a network of the cluster, the lost container still has its place.
    #[error("network {network} still has an endpoint of that name")]
    StillInNetwork {
        /// The network.
        network: String,
    },

    /// Another container has its name.
    #[error("the name {0} is in use by another container")]
    NameTaken(String),

    /// Its node is not lost after all, or nobody can tell.
    #[error(transparent)]
    NotLost(#[from] NotLost),

    /// It took too long.
    #[error("not done within {0:?}")]
    TooSlow(Duration),
}

/// Creates an orphan on another node, and starts it there if it ran. Returns the node's name. What
/// could not be completed is removed again.
///
/// # Errors
/// [`MoveError`].
pub async fn to_another_node(
    api: &Api,
    cluster: &Cluster,
    connectivity: &Connectivity,
    orphan: &Orphan,
    source: &Source,
) -> Result<String, MoveError> {
    if cluster.is_name_taken(&orphan.name, &orphan.swarm_id) {
        return Err(MoveError::NameTaken(orphan.name.to_string()));
    }
    connectivity.confirm_lost(&orphan.node.addr).await?;
    let mut again = Recreation::new(source, &orphan.inspect, orphan.node.cpus);
    let is_unverified = *source == Source::Inspect;
    if is_unverified && !cluster.reschedule_settings().allow_unverified {
        remove_defaults(&mut again.config);
    }
    for network in again.networks() {
        leave(cluster, network, &orphan.name).await?;
    }
    let (node, id) = match &orphan.begun {
        Some(begun) => (begun.node.clone(), begun.id.to_string()),
        None => {
            let config = again.config.clone();
            let provenance = Provenance {
                replaces: predecessors(cluster, orphan),
                is_unverified,
            };
            let created = api.create_again(config, &orphan.name, &orphan.swarm_id, provenance);
            let (node, id) = created.await?;
            cluster.record_move(orphan, &node, &id);
            (node, id)
        }
    };
    let on_node = OnNode {
        node: &node,
        id: &id,
    };
    let settled = on_node.settle(&again, orphan.was_running).await;
    if let Err(error) = settled {
        on_node.take_back(cluster).await;
        return Err(error);
    }
    cluster.touched(&node.about.addr, &id);
    cluster.moved(orphan);
    Ok(node.about.name.clone())
}

/// The containers that its successor replaces: itself, and those that it replaced.
fn predecessors(cluster: &Cluster, orphan: &Orphan) -> Vec<Predecessor> {
    let notary = cluster.notary();
    let before = orphan.predecessors(notary.as_ref()).iter().cloned();
    std::iter::once(orphan.predecessor())
        .chain(before)
        .take(MAX_PREDECESSORS)
        .collect()
}

/// Takes a lost container out of a network that all nodes share: no two there may have one name.
async fn leave(cluster: &Cluster, network: &str, name: &str) -> Result<(), MoveError> {
    let lists = cluster.networks();
    // Also what only the lost node has told of.
    let mut networks = lists.iter().flat_map(|list| list.objects.iter());
    let shared = networks.find(|found| {
        *found.scope == *"global" && found.names.iter().any(|known| **known == *network)
    });
    let Some(id) = shared.map(|found| encode(&found.id)) else {
        return Ok(());
    };
    let path = format!("/networks/{id}");
    let mut last = None;
    for node in cluster.healthy() {
        match node.engine.call(Method::GET, &path, None).await {
            Ok(shown) if !has_endpoint(&shown, name) => return Ok(()),
            Ok(_) => return take_out(&node, &path, network, name).await,
            // An engine without the store knows nothing of it.
            Err(error) => last = Some((node, error)),
        }
    }
    match last {
        Some((node, source)) => Err(MoveError::Engine {
            node: node.about.name.clone(),
            what: format!("looking at network {network}"),
            source,
        }),
        None => Ok(()),
    }
}

async fn take_out(
    node: &NodeEngine,
    path: &str,
    network: &str,
    name: &str,
) -> Result<(), MoveError> {
    let failed = |what: &str, source| MoveError::Engine {
        node: node.about.name.clone(),
        what: format!("{what} network {network}"),
        source,
    };
    let body = json!({"Container": name, "Force": true});
    let disconnect = format!("{path}/disconnect");
    let taken = node.engine.call(Method::POST, &disconnect, Some(&body));
    taken
        .await
        .map_err(|error| failed("taking it out of", error))?;
    let shown = node.engine.call(Method::GET, path, None).await;
    let shown = shown.map_err(|error| failed("looking at", error))?;
    match has_endpoint(&shown, name) {
        false => Ok(()),
        true => Err(MoveError::StillInNetwork {
            network: network.to_owned(),
        }),
    }
}

fn has_endpoint(network: &Value, name: &str) -> bool {
    let endpoints = network["Containers"].as_object();
    let mut endpoints = endpoints.into_iter().flat_map(|all| all.values());
    endpoints.any(|endpoint| endpoint["Name"] == *name)
}

/// The new container.
struct OnNode<'a> {
    node: &'a NodeEngine,
    id: &'a str,
}

impl OnNode<'_> {
    async fn settle(&self, again: &Recreation, start: bool) -> Result<(), MoveError> {
        for (network, endpoint) in &again.connect {
            let path = format!("/networks/{}/connect", encode(network));
            let body = json!({"Container": self.id, "EndpointConfig": endpoint});
            let connected = self
                .node
                .engine
                .call(Method::POST, &path, Some(&body))
                .await;
            // An earlier attempt may have come so far.
            if let Err(error) = connected
                && !is_there_already(&error)
            {
                return Err(self.failed(format!("connecting to network {network}"), error));
            }
        }
        if start {
            let path = format!("/containers/{}/start", encode(self.id));
            let started = self.node.engine.call(Method::POST, &path, None).await;
            started.map_err(|error| self.failed("starting".to_owned(), error))?;
        }
        Ok(())
    }

    /// It is new: its volumes hold nothing.
    async fn take_back(&self, cluster: &Cluster) {
        let path = format!("/containers/{}?force=1&v=1", encode(self.id));
        match self.node.engine.call(Method::DELETE, &path, None).await {
            Ok(Value::Null | Value::Object(_)) => {
                cluster.removed(&self.node.about.addr, self.id);
            }
            Ok(_) | Err(_) => cluster.touched(&self.node.about.addr, self.id),
        }
    }

    fn failed(&self, what: String, source: EngineError) -> MoveError {
        MoveError::Engine {
            node: self.node.about.name.clone(),
            what,
            source,
        }
    }
}

fn is_there_already(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { message, .. } if message.contains("already exists in network"))
}
