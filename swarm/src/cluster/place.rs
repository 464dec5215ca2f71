//! Places for containers that are to be created.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rswarm_scheduler::{Request, Resident, SWARM_ID_LABEL, State as Doing, Unschedulable};

use super::Cluster;
use super::container::{Container, Origin};
use super::view::NodeEngine;

/// Why a container has no place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlaceError {
    /// Another container has its name.
    #[error(
        "Conflict: The name {0} is already assigned. You have to delete (or rename) that container \
         to be able to assign {0} to a container again."
    )]
    NameTaken(String),
    /// No node will do.
    #[error(transparent)]
    Unschedulable(#[from] Unschedulable),
}

/// A place on a node, held until this value goes.
pub struct Placement {
    cluster: Cluster,
    node: NodeEngine,
    request: Request,
    swarm_id: Arc<str>,
    /// The engine's shares for the processors that were asked for.
    cpu_shares: u64,
}

/// A name that is kept from others until this value goes.
pub struct ReservedName {
    cluster: Cluster,
    name: Arc<str>,
}

impl Cluster {
    /// Chooses a node for a container and holds its place and its name there.
    ///
    /// The id within the cluster is the caller's: who moves a container keeps it, and does not
    /// clash with the name that the container has where it was.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn place(&self, request: Request, swarm_id: &str) -> Result<Placement, PlaceError> {
        let mut state = self.write();
        if !request.name.is_empty() && state.is_taken(&request.name, swarm_id) {
            return Err(PlaceError::NameTaken(request.name));
        }
        let mut known: Vec<_> = state
            .members
            .values_mut()
            .filter(|member| member.about.is_some())
            .collect();
        if !known.is_empty() {
            // Whatever the filters are: who does not answer can create nothing.
            known.retain(|member| member.life.is_healthy());
            if known.is_empty() {
                return Err(Unschedulable::NoHealthyNode.into());
            }
        }
        let nodes = known.iter().map(|member| &member.node);
        let scheduler = &self.inner.settings.scheduler;
        let mut random = |below: usize| rand::random_range(0..below.max(1));
        let ranked = scheduler.select(nodes, &request, &mut random)?;
        let member = ranked.first().and_then(|first| known.get_mut(*first));
        let found = member.and_then(|member| {
            let node = member.node_engine()?;
            member.node.reserve(swarm_id, &request);
            Some((node, member.node.cpu_shares(request.cpus)))
        });
        let Some((node, cpu_shares)) = found else {
            return Err(Unschedulable::NoHealthyNode.into());
        };
        let swarm_id: Arc<str> = swarm_id.into();
        if !request.name.is_empty() {
            state.names.insert(request.name.as_str().into());
        }
        Ok(Placement {
            cluster: self.clone(),
            node,
            request,
            swarm_id,
            cpu_shares,
        })
    }

    /// Keeps a name from others, for a container that gets it.
    ///
    /// # Errors
    /// [`PlaceError::NameTaken`].
    pub fn reserve_name(&self, name: &str) -> Result<ReservedName, PlaceError> {
        let mut state = self.write();
        // Not even one that moves here may have it.
        if state.is_taken(name, "") {
            return Err(PlaceError::NameTaken(name.to_owned()));
        }
        let name: Arc<str> = name.into();
        state.names.insert(Arc::clone(&name));
        Ok(ReservedName {
            cluster: self.clone(),
            name,
        })
    }
}

impl Placement {
    /// The node that was chosen.
    pub fn node(&self) -> &NodeEngine {
        &self.node
    }

    /// The engine's shares for the processors that were asked for.
    pub fn cpu_shares(&self) -> u64 {
        self.cpu_shares
    }

    /// The id that the container keeps when it moves.
    pub fn swarm_id(&self) -> &str {
        &self.swarm_id
    }

    /// The engine has created the container: it is known from now on, and read as soon as may be.
    pub fn created(self, id: &str, image: &str) {
        let cluster = self.cluster.clone();
        let addr = Arc::clone(&self.node.about.addr);
        let mut labels = self.request.labels.clone();
        labels.retain(|(key, _)| **key != *SWARM_ID_LABEL);
        labels.push((SWARM_ID_LABEL.into(), Arc::clone(&self.swarm_id)));
        let resident = Resident {
            name: self.request.name.as_str().into(),
            labels,
            state: Doing::Created,
            cpu_shares: self.cpu_shares,
            memory: self.request.memory,
            published: self.request.published.clone(),
            host_ports: self.request.host_ports.clone(),
            ..Resident::new(id)
        };
        let origin = Origin {
            addr: &addr,
            name: &self.node.about.name,
            ip: &self.node.about.ip,
            now: now(),
            skew: 0,
        };
        let id = Arc::clone(&resident.id);
        if let Ok(container) = Container::created(&resident, image, &origin) {
            let mut state = cluster.write();
            // The engine's own events may have been faster.
            if state
                .index
                .get(&(Arc::clone(&id), Arc::clone(&addr)))
                .is_none()
            {
                state.put(container, resident);
            }
            if let Some(member) = state.members.get_mut(&addr) {
                // No list that was asked for before knows of it.
                member.changes.container(&id);
            }
        }
        cluster.touched(&addr, &id);
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        let mut state = self.cluster.write();
        if let Some(member) = state.members.get_mut(&self.node.about.addr) {
            member.node.remove(&self.swarm_id);
        }
        state.names.remove(&*self.request.name);
    }
}

impl Drop for ReservedName {
    fn drop(&mut self) {
        self.cluster.write().names.remove(&self.name);
    }
}

/// Seconds of our clock.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}
