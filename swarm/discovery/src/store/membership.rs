//! What a watch has told and what it is to tell: pure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::Entry;

/// Maximum number of members. A store with more is faulty or hostile: those that came first stay.
const MAX_MEMBERS: usize = 10_000;

/// The members as the store has them and as they were told.
///
/// After an outage a store may have lost its members, who need the time of a heartbeat to come
/// again: until the grace is over, nobody who was there before is told to be gone.
#[derive(Debug)]
pub(crate) struct Membership {
    stored: BTreeSet<Entry>,
    told: Option<BTreeSet<Entry>>,
    grace: Duration,
    lenient_until: Option<Instant>,
}

impl Membership {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            stored: BTreeSet::new(),
            told: None,
            grace,
            lenient_until: None,
        }
    }

    /// The store has exactly these.
    pub(crate) fn replace(&mut self, stored: BTreeSet<Entry>) {
        if stored.len() <= MAX_MEMBERS {
            self.stored = stored;
            return;
        }
        tracing::warn!(
            "the store has {} nodes; the first {MAX_MEMBERS} are used",
            stored.len()
        );
        let (known, new): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .partition(|entry| self.stored.contains(entry));
        self.stored = known.into_iter().chain(new).take(MAX_MEMBERS).collect();
    }

    /// The store has this one, too.
    pub(crate) fn add(&mut self, entry: Entry) {
        if self.stored.len() < MAX_MEMBERS {
            self.stored.insert(entry);
        }
    }

    /// The store has this one no more.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        self.stored.remove(entry);
    }

    /// The store could not be asked, and can be again.
    pub(crate) fn back(&mut self, now: Instant) {
        if self.told.is_some() {
            self.lenient_until = Some(now + self.grace);
        }
    }

    /// What is to be told now, unless it was told already.
    pub(crate) fn news(&mut self, now: Instant) -> Option<BTreeSet<Entry>> {
        if self.lenient_until.is_some_and(|until| until <= now) {
            self.lenient_until = None;
        }
        let members = match (&self.told, self.lenient_until) {
            (Some(told), Some(_)) => told.union(&self.stored).cloned().collect(),
            _ => self.stored.clone(),
        };
        if self.told.as_ref() == Some(&members) {
            return None;
        }
        self.told = Some(members.clone());
        Some(members)
    }

    /// How long nothing needs to be told if the store says nothing.
    pub(crate) fn quiet_for(&self, now: Instant) -> Option<Duration> {
        self.lenient_until
            .map(|until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> BTreeSet<Entry> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn flood_of_members_displaces_none() {
        let now = Instant::now();
        let flood = |count: usize| (0..count).map(|n| format!("a{n}:1").parse().unwrap());
        let mut membership = Membership::new(Duration::ZERO);
        membership.replace(entries(&["z:1"]));
        membership.news(now);
        membership.replace(flood(MAX_MEMBERS).chain(entries(&["z:1"])).collect());
        let members = membership.news(now).unwrap();
        assert_eq!(members.len(), MAX_MEMBERS);
        assert!(members.contains(&"z:1".parse().unwrap()));
        membership.add("b:1".parse().unwrap());
        assert_eq!(membership.news(now), None);
    }

    #[test]
    fn only_changes_are_news() {
        let now = Instant::now();
        let mut membership = Membership::new(Duration::from_secs(60));
        assert_eq!(membership.news(now), Some(entries(&[])));
        membership.replace(entries(&["a:1"]));
        assert_eq!(membership.news(now), Some(entries(&["a:1"])));
        membership.add("a:1".parse().unwrap());
        assert_eq!(membership.news(now), None);
        membership.remove(&"a:1".parse().unwrap());
        assert_eq!(membership.news(now), Some(entries(&[])));
    }

    #[test]
    fn a_store_that_lost_its_members_gets_time() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let mut membership = Membership::new(minute);
        membership.replace(entries(&["a:1", "b:1"]));
        membership.news(now);
        membership.back(now);
        membership.replace(entries(&["c:1"]));
        assert_eq!(membership.news(now), Some(entries(&["a:1", "b:1", "c:1"])));
        assert_eq!(membership.quiet_for(now), Some(minute));
        membership.add("a:1".parse().unwrap());
        assert_eq!(membership.news(now + minute / 2), None);
        assert_eq!(
            membership.news(now + minute),
            Some(entries(&["a:1", "c:1"]))
        );
        assert_eq!(membership.quiet_for(now + minute), None);
    }

    #[test]
    fn who_knows_nothing_yet_believes_the_store() {
        let now = Instant::now();
        let mut membership = Membership::new(Duration::from_secs(60));
        membership.back(now);
        membership.replace(entries(&["a:1"]));
        assert_eq!(membership.news(now), Some(entries(&["a:1"])));
        assert_eq!(membership.quiet_for(now), None);
    }
}
