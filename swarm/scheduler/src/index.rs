//! Sorted maps from texts to what bears them, kept up to date as containers come and go.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// A sorted set of texts that an expression is looked up in.
pub(crate) trait Texts {
    fn has(&self, text: &str) -> bool;

    fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Arc<str>>;
}

impl<V> Texts for BTreeMap<Arc<str>, V> {
    fn has(&self, text: &str) -> bool {
        self.contains_key(text)
    }

    fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Arc<str>> {
        self.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(move |key| key.starts_with(prefix))
    }
}

/// Texts, and the ids of the containers that bear each: a sorted list, as most texts have just
/// one bearer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearers(Vec<(Arc<str>, Arc<str>)>);

impl Bearers {
    pub(crate) fn add(&mut self, text: &Arc<str>, id: &Arc<str>) {
        let at = self.first(text);
        self.0.insert(at, (Arc::clone(text), Arc::clone(id)));
    }

    pub(crate) fn remove(&mut self, text: &str, id: &str) {
        let first = self.first(text);
        let bearer = self.of(text).position(|bearer| **bearer == *id);
        if let Some(bearer) = bearer {
            self.0.remove(first + bearer);
        }
    }

    /// The ids of those that bear the text.
    pub(crate) fn of(&self, text: &str) -> impl Iterator<Item = &Arc<str>> {
        self.0[self.first(text)..]
            .iter()
            .take_while(move |(borne, _)| **borne == *text)
            .map(|(_, id)| id)
    }

    /// The ids of those that bear a text which begins like this.
    pub(crate) fn of_prefix(&self, prefix: &str) -> impl Iterator<Item = &Arc<str>> {
        self.0[self.first(prefix)..]
            .iter()
            .take_while(move |(borne, _)| borne.starts_with(prefix))
            .map(|(_, id)| id)
    }

    fn first(&self, text: &str) -> usize {
        self.0.partition_point(|(borne, _)| **borne < *text)
    }
}

impl Texts for Bearers {
    fn has(&self, text: &str) -> bool {
        self.of(text).next().is_some()
    }

    fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Arc<str>> {
        self.0[self.first(prefix)..]
            .iter()
            .map(|(text, _)| text)
            .take_while(move |text| text.starts_with(prefix))
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
