//! All containers of the cluster, found by whatever names them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::container::Container;

/// The length at which clients cut ids.
const SHORT_ID: usize = 12;

/// A container's id, and where its node is: clones of one machine have containers of one id.
pub(crate) type Key = (Arc<str>, Arc<str>);

/// The containers, with every index kept right at each change.
#[derive(Default)]
pub(crate) struct Index {
    containers: BTreeMap<Key, Arc<Container>>,
    names: Bearers,
    swarm_ids: Bearers,
    /// By age, which no two share.
    newest: BTreeMap<Reverse<(i64, u64)>, Arc<Container>>,
    /// How many have become known.
    known: u64,
}

/// Nearly every text has one bearer: a set would take many times the room.
type Bearers = BTreeMap<Arc<str>, Vec<Key>>;

/// What a name comes to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found<T> {
    /// The one that it means.
    One(T),
    /// It could mean each of these, or nothing at all.
    None(Vec<T>),
}

impl Index {
    /// Adds a container, or takes over what has changed of it.
    pub(crate) fn insert(&mut self, mut container: Container) {
        let key = (Arc::clone(&container.id), Arc::clone(&container.addr));
        container.known_as = match self.containers.get_mut(&key) {
            Some(before) if is_found_alike(before, &container) => {
                container.known_as = before.known_as;
                *before = Arc::new(container);
                self.newest
                    .insert(Reverse(before.age()), Arc::clone(before));
                return;
            }
            Some(before) => {
                let known_as = before.known_as;
                self.remove(&key);
                known_as
            }
            None => {
                self.known += 1;
                self.known
            }
        };
        for name in &*container.names {
            bear(&mut self.names, name, &key);
        }
        if let Some(swarm_id) = &container.swarm_id {
            bear(&mut self.swarm_ids, swarm_id, &key);
        }
        let container = Arc::new(container);
        self.newest
            .insert(Reverse(container.age()), Arc::clone(&container));
        self.containers.insert(key, container);
    }

    /// Takes a container away.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Container>> {
        let container = self.containers.remove(key)?;
        for name in &*container.names {
            forget(&mut self.names, name, key);
        }
        if let Some(swarm_id) = &container.swarm_id {
            forget(&mut self.swarm_ids, swarm_id, key);
        }
        self.newest.remove(&Reverse(container.age()));
        Some(container)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Container>> {
        self.containers.get(key)
    }

    /// All, the newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.newest.values()
    }

    /// Those with this name, without a slash before it.
    pub(crate) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Container>> {
        let keys = self.names.get(name).into_iter().flatten();
        keys.filter_map(|key| self.containers.get(key))
    }

    /// The container that a person means: by its id or its short id, its id within the cluster, its
    /// name (also `/name` and `NODE/name`), or an id's beginning that fits no other.
    ///
    /// `is_node` says whether a container's node is called so.
    pub(crate) fn resolve<'a>(
        &'a self,
        text: &'a str,
        is_node: impl Fn(&Container, &str) -> bool,
    ) -> Found<&'a Arc<Container>> {
        if text.is_empty() {
            return Found::None(Vec::new());
        }
        let mut candidates = Vec::new();
        for step in 0..4 {
            let found = match step {
                0 => self.with_id(text).collect(),
                1 => self.with_swarm_id(text).collect(),
                2 => self.with_name(text, &is_node),
                _ => self.beginning(text),
            };
            match found.as_slice() {
                [one] => return Found::One(one),
                // The first step that finds several knows best what was meant.
                [_, ..] if candidates.is_empty() => candidates = found,
                _ => {}
            }
        }
        Found::None(candidates)
    }

    /// Those with exactly this id.
    pub(crate) fn of_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<Container>> {
        self.beginning_with(id)
            .filter(move |found| *found.id == *id)
    }

    /// Those with exactly this swarm ID.
    pub(crate) fn of_swarm_id<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Arc<Container>> {
        let keys = self.swarm_ids.get(id).into_iter().flatten();
        keys.filter_map(|key| self.containers.get(key))
    }

    fn with_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<Container>> {
        self.beginning_with(id)
            .filter(move |found| *found.id == *id || id.len() == SHORT_ID)
    }

    fn with_swarm_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<Container>> {
        let bearers = from(&self.swarm_ids, id);
        bearers
            .filter(move |(found, _)| ***found == *id || id.len() == SHORT_ID)
            .flat_map(|(_, keys)| keys)
            .filter_map(|key| self.containers.get(key))
    }

    fn with_name(
        &self,
        text: &str,
        is_node: impl Fn(&Container, &str) -> bool,
    ) -> Vec<&Arc<Container>> {
        let plain = text.strip_prefix('/').unwrap_or(text);
        let found: Vec<_> = self.named(plain).collect();
        if !found.is_empty() {
            return found;
        }
        let Some((node, name)) = plain.split_once('/') else {
            return found;
        };
        let on_node = self.named(name);
        on_node.filter(|found| is_node(found, node)).collect()
    }

    /// Those whose id of either kind begins so, each once.
    fn beginning<'a>(&'a self, text: &'a str) -> Vec<&'a Arc<Container>> {
        let by_swarm_id = from(&self.swarm_ids, text).flat_map(|(_, keys)| keys);
        let mut found: Vec<_> = self
            .beginning_with(text)
            .chain(by_swarm_id.filter_map(|key| self.containers.get(key)))
            .collect();
        found.sort_by_key(|found| (&found.id, &found.addr));
        found.dedup_by(|one, two| Arc::ptr_eq(one, two));
        found
    }

    fn beginning_with<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Arc<Container>> {
        let first: Key = (text.into(), "".into());
        self.containers
            .range(first..)
            .take_while(move |((id, _), _)| id.starts_with(text))
            .map(|(_, container)| container)
    }
}

/// Whether all that finds the one finds the other.
fn is_found_alike(one: &Container, other: &Container) -> bool {
    one.names == other.names && one.swarm_id == other.swarm_id && one.created == other.created
}

fn from<'a>(
    bearers: &'a Bearers,
    text: &'a str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Vec<Key>)> {
    bearers
        .range::<str, _>((Bound::Included(text), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(text))
}

fn bear(bearers: &mut Bearers, text: &Arc<str>, key: &Key) {
    let keys = bearers.entry(Arc::clone(text));
    let keys = keys.or_insert_with(|| Vec::with_capacity(1));
    if !keys.contains(key) {
        keys.push(key.clone());
    }
}

fn forget(bearers: &mut Bearers, text: &str, key: &Key) {
    if let Some(keys) = bearers.get_mut(text) {
        keys.retain(|borne| borne != key);
        if keys.is_empty() {
            bearers.remove(text);
        }
    }
}

#[cfg(test)]
mod tests;
