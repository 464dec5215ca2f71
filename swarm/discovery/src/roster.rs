//! Members that stay for as long as they say that they are there: pure, the time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::Entry;

/// How many members one cluster may have.
const MOST: usize = 10_000;

/// The least time that a member stays unless it registers anew.
const SHORTEST: Duration = Duration::from_secs(1);

/// The most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The members of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    stays: BTreeMap<Entry, Stay>,
    membership: u64,
    revision: u64,
}

#[derive(Debug)]
struct Stay {
    ttl: Duration,
    end: Instant,
}

/// A cluster takes no more members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

impl Roster {
    /// What is worth saving: the members, and how long each stays.
    pub(crate) fn ttls(&self) -> impl Iterator<Item = (&Entry, Duration)> {
        self.stays.iter().map(|(entry, stay)| (entry, stay.ttl))
    }

    /// Counts the changes of what is worth saving.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Counts the changes of who is a member; a member that registers anew is none.
    pub(crate) fn membership(&self) -> u64 {
        self.membership
    }

    /// The members.
    pub(crate) fn entries(&self) -> BTreeSet<Entry> {
        self.stays.keys().cloned().collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.stays.len()
    }

    /// Whether this is one of them.
    pub(crate) fn contains(&self, entry: &Entry) -> bool {
        self.stays.contains_key(entry)
    }

    /// Adds a member, or lets it stay longer.
    pub(crate) fn register(
        &mut self,
        entry: Entry,
        ttl: Duration,
        now: Instant,
    ) -> Result<(), Full> {
        let ttl = ttl.clamp(SHORTEST, LONGEST);
        let stay = Stay {
            ttl,
            end: now + ttl,
        };
        if self.stays.len() >= MOST && !self.contains(&entry) {
            return Err(Full);
        }
        let earlier = self.stays.insert(entry, stay);
        self.membership += u64::from(earlier.is_none());
        self.revision += u64::from(earlier.is_none_or(|earlier| earlier.ttl != ttl));
        Ok(())
    }

    /// Takes a member away, if it is there.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        let there = self.stays.remove(entry).is_some();
        self.membership += u64::from(there);
        self.revision += u64::from(there);
    }

    /// Removes the members whose time is over, and returns them.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Entry> {
        let mut expired = Vec::new();
        self.stays.retain(|entry, stay| {
            let is_expired = stay.end <= now;
            if is_expired {
                expired.push(entry.clone());
            }
            !is_expired
        });
        let is_changed = u64::from(!expired.is_empty());
        self.membership += is_changed;
        self.revision += is_changed;
        expired
    }

    /// When the time of the next is over.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.stays.values().map(|stay| stay.end).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn shown(roster: &Roster) -> Vec<String> {
        roster.entries().iter().map(Entry::to_string).collect()
    }

    #[test]
    fn members_stay_for_their_time() {
        let start = Instant::now();
        let mut roster = Roster::default();
        roster.register(entry("a:1"), seconds(10), start).unwrap();
        roster.register(entry("b:1"), seconds(20), start).unwrap();
        assert_eq!(roster.next_end(), Some(start + seconds(10)));
        roster.expire(start + seconds(9));
        assert_eq!(shown(&roster), ["a:1", "b:1"]);
        roster.expire(start + seconds(10));
        assert_eq!(shown(&roster), ["b:1"]);
        let later = start + seconds(19);
        roster.register(entry("b:1"), seconds(20), later).unwrap();
        roster.expire(later + seconds(19));
        assert_eq!(shown(&roster), ["b:1"]);
        roster.expire(later + seconds(20));
        assert!(roster.is_empty());
        assert_eq!(roster.next_end(), None);
        roster.register(entry("c:1"), Duration::MAX, start).unwrap();
        assert_eq!(roster.next_end(), Some(start + LONGEST));
    }

    #[test]
    fn only_what_changes_is_counted() {
        let now = Instant::now();
        let mut roster = Roster::default();
        roster.register(entry("a:1"), seconds(9), now).unwrap();
        assert_eq!((roster.membership(), roster.revision()), (1, 1));
        roster.register(entry("a:1"), seconds(9), now).unwrap();
        assert_eq!((roster.membership(), roster.revision()), (1, 1));
        roster.register(entry("a:1"), seconds(8), now).unwrap();
        assert_eq!((roster.membership(), roster.revision()), (1, 2));
        roster.remove(&entry("b:1"));
        roster.expire(now);
        assert_eq!((roster.membership(), roster.revision()), (1, 2));
        roster.remove(&entry("a:1"));
        assert_eq!((roster.membership(), roster.revision()), (2, 3));
    }

    #[test]
    fn a_full_cluster_keeps_those_it_has() {
        let now = Instant::now();
        let mut roster = Roster::default();
        for number in 0..MOST {
            let entry = entry(&format!("n{number}:1"));
            roster.register(entry, seconds(9), now).unwrap();
        }
        let one_more = roster.register(entry("x:1"), seconds(9), now);
        assert_eq!(one_more, Err(Full));
        roster.register(entry("n0:1"), seconds(9), now).unwrap();
        roster.remove(&entry("n0:1"));
        roster.register(entry("x:1"), seconds(9), now).unwrap();
    }
}
