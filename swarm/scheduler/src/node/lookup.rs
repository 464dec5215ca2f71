use std::collections::BTreeMap;
use std::sync::Arc;

use super::Node;
use crate::Resident;
use crate::index::{Bearers, Texts};

/// The length at which clients cut ids.
const SHORT_ID: usize = 12;

impl Node {
    /// The container that a person means: by its full or short id, its id within the cluster, its
    /// name (also `/name`, `NODE/name`, `ENGINE-ID/name`), or an id's beginning that fits no other.
    pub fn find(&self, id_or_name: &str) -> Option<&Resident> {
        if id_or_name.is_empty() {
            return None;
        }
        let id = self
            .by_id(id_or_name)
            .or_else(|| self.by_swarm_id(id_or_name))
            .or_else(|| only(self.by_name(id_or_name)))
            .or_else(|| {
                let ids = self.residents.with_prefix(id_or_name);
                only(ids.chain(self.swarm_ids.of_prefix(id_or_name)))
            })?;
        self.resident(id)
    }

    fn by_id(&self, id: &str) -> Option<&Arc<str>> {
        match self.residents.get_key_value(id) {
            Some((id, _)) => Some(id),
            None if id.len() == SHORT_ID => self.residents.with_prefix(id).next(),
            None => None,
        }
    }

    fn by_swarm_id(&self, id: &str) -> Option<&Arc<str>> {
        match self.swarm_ids.of(id).next() {
            None if id.len() == SHORT_ID => self.swarm_ids.of_prefix(id).next(),
            found => found,
        }
    }

    fn by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let plain = name.strip_prefix('/').unwrap_or(name);
        let spec = &self.spec;
        let on_this_node = [&*spec.name, &*spec.id, spec.bare_id()]
            .into_iter()
            .filter_map(move |node| name.strip_prefix(node)?.strip_prefix('/'));
        std::iter::once(plain)
            .chain(on_this_node)
            .flat_map(|name| self.names.of(name).chain(self.aliases.of(name)))
    }

    /// The names of containers, links' names left out, with the ids of those that bear them.
    pub(crate) fn names(&self) -> &Bearers {
        &self.names
    }

    /// The containers by their full ids.
    pub(crate) fn by_ids(&self) -> &BTreeMap<Arc<str>, Box<Resident>> {
        &self.residents
    }
}

/// The one id that all are, if there is any.
fn only<'a>(mut ids: impl Iterator<Item = &'a Arc<str>>) -> Option<&'a Arc<str>> {
    let first = ids.next()?;
    ids.all(|id| id == first).then_some(first)
}
