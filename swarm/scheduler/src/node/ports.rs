use std::sync::Arc;

use crate::{Port, PublishedPort, Resident};

/// The ports of a node's host, and which container holds each.
///
/// Sorted lists: a node has few ports. Most choices do not even look at them, as one number
/// tells that a port is free.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortTable {
    /// A bit for each number that is published, shared by those that are 128 apart.
    seen: u128,
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
            self.seen |= bit(port.port);
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
        self.seen = self
            .published
            .iter()
            .fold(0, |seen, (held, _)| seen | bit(held.port));
    }

    /// The ids of the containers that hold the port.
    pub(crate) fn holders(&self, wanted: Held) -> impl Iterator<Item = &Arc<str>> {
        let published = match wanted {
            Held::Published(wanted) if self.seen & bit(wanted.port) != 0 => Some(wanted),
            Held::Published(_) | Held::OnHost(_) => None,
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

fn bit(port: Port) -> u128 {
    1 << (port.number % 128)
}
