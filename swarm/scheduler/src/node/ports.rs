use std::sync::Arc;

use crate::{Port, PublishedPort, Resident};

/// The ports of a node's host, and which container holds each.
///
/// Sorted lists: a node has few ports, and they are looked through for every choice.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortTable {
    published: Vec<(PublishedPort, Arc<str>)>,
    on_host: Vec<(Port, Arc<str>)>,
}

/// A port that a container asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// Forwarded from the host.
    Published(PublishedPort),
    /// On the host's own network.
    OnHost(Port),
}

impl PortTable {
    pub(crate) fn add(&mut self, resident: &Resident) {
        for port in &resident.published {
            let entry = (*port, Arc::clone(&resident.id));
            let at = self.published.partition_point(|held| *held < entry);
            self.published.insert(at, entry);
        }
        for port in &resident.host_ports {
            let entry = (*port, Arc::clone(&resident.id));
            let at = self.on_host.partition_point(|held| *held < entry);
            self.on_host.insert(at, entry);
        }
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.published.retain(|(_, holder)| **holder != *id);
        self.on_host.retain(|(_, holder)| **holder != *id);
    }

    /// The ids of the containers that hold the port.
    pub(crate) fn holders(&self, wanted: Held) -> impl Iterator<Item = &Arc<str>> {
        let published = match wanted {
            Held::Published(wanted) => Some(wanted),
            Held::OnHost(_) => None,
        };
        let on_host = match wanted {
            Held::OnHost(wanted) => Some(wanted),
            Held::Published(_) => None,
        };
        let published = published.into_iter().flat_map(|wanted| {
            let first = self
                .published
                .partition_point(|(held, _)| held.port < wanted.port);
            self.published[first..]
                .iter()
                .take_while(move |(held, _)| held.port == wanted.port)
                .filter(move |(held, _)| held.clashes_with(&wanted))
                .map(|(_, holder)| holder)
        });
        let on_host = on_host.into_iter().flat_map(|wanted| {
            let first = self.on_host.partition_point(|(held, _)| *held < wanted);
            self.on_host[first..]
                .iter()
                .take_while(move |(held, _)| *held == wanted)
                .map(|(_, holder)| holder)
        });
        published.chain(on_host)
    }
}
