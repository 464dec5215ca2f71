//! Sorted maps from texts to what bears them, kept up to date as containers come and go.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// The entries whose key begins with the prefix.
pub(crate) fn with_prefix<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    prefix: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

/// Texts, and the ids of the containers that bear each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearers(BTreeMap<Arc<str>, Vec<Arc<str>>>);

impl Bearers {
    pub(crate) fn add(&mut self, text: &Arc<str>, id: &Arc<str>) {
        self.0
            .entry(Arc::clone(text))
            .or_default()
            .push(Arc::clone(id));
    }

    pub(crate) fn remove(&mut self, text: &str, id: &str) {
        if let Some(ids) = self.0.get_mut(text) {
            ids.retain(|bearer| **bearer != *id);
            if ids.is_empty() {
                self.0.remove(text);
            }
        }
    }

    pub(crate) fn of(&self, text: &str) -> &[Arc<str>] {
        self.0.get(text).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Arc<str>> {
        with_prefix(&self.0, prefix).flat_map(|(_, ids)| ids)
    }

    pub(crate) fn map(&self) -> &BTreeMap<Arc<str>, Vec<Arc<str>>> {
        &self.0
    }
}

/// Labels: how many containers bear each key, and each of its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelIndex(HashMap<Arc<str>, Values>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) bearers: usize,
    pub(crate) values: BTreeMap<Arc<str>, usize>,
}

impl LabelIndex {
    /// Counts a label in. The texts become those already held, so that a label shared by many
    /// containers is in memory once.
    pub(crate) fn add(&mut self, key: &mut Arc<str>, value: &mut Arc<str>) {
        match self.0.get_key_value(key) {
            Some((held, _)) => *key = Arc::clone(held),
            None => {
                self.0.insert(Arc::clone(key), Values::default());
            }
        }
        let Some(values) = self.0.get_mut(key) else {
            return;
        };
        if let Some((held, _)) = values.values.get_key_value(value) {
            *value = Arc::clone(held);
        }
        values.bearers += 1;
        *values.values.entry(Arc::clone(value)).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, key: &str, value: &str) {
        let Some(values) = self.0.get_mut(key) else {
            return;
        };
        if let Some(count) = values.values.get_mut(value) {
            values.bearers -= 1;
            *count -= 1;
            if *count == 0 {
                values.values.remove(value);
            }
        }
        if values.bearers == 0 {
            self.0.remove(key);
        }
    }

    pub(crate) fn of(&self, key: &str) -> Option<&Values> {
        self.0.get(key)
    }

    pub(crate) fn has(&self, key: &str, value: &str) -> bool {
        self.of(key)
            .is_some_and(|values| values.values.contains_key(value))
    }
}
