//! What a token service keeps: pure, the time is handed in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Entry;

/// How many clusters there may be.
const MOST_CLUSTERS: usize = 100_000;

/// How many members one may have.
const MOST_ENTRIES: usize = 10_000;

/// A cluster without members is forgotten after this time, in seconds: 30 days.
const FORGOTTEN_AFTER: u64 = 30 * 24 * 60 * 60;

/// The longest that an entry may stay unless it is registered anew, in seconds.
const LONGEST_TTL: u64 = 24 * 60 * 60;

/// The clusters by their tokens. Times are seconds since 1970.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Clusters {
    clusters: BTreeMap<String, Cluster>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Cluster {
    /// When it was last written to.
    touched: u64,
    /// The members, and when each ends.
    entries: BTreeMap<String, u64>,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Denied {
    /// There is no such cluster.
    NoCluster,
    /// There are too many clusters, or members of one.
    TooMany,
}

impl Clusters {
    /// Adds an empty cluster.
    pub(super) fn create(&mut self, token: &str, now: u64) -> Result<(), Denied> {
        if self.clusters.len() >= MOST_CLUSTERS {
            self.clusters.retain(|_, cluster| {
                cluster.entries.retain(|_, end| *end > now);
                !cluster.entries.is_empty() || cluster.touched + FORGOTTEN_AFTER > now
            });
            if self.clusters.len() >= MOST_CLUSTERS {
                return Err(Denied::TooMany);
            }
        }
        let cluster = Cluster {
            touched: now,
            ..Cluster::default()
        };
        self.clusters.insert(token.to_owned(), cluster);
        Ok(())
    }

    /// Adds a member for a time, or gives it more of it.
    pub(super) fn register(
        &mut self,
        token: &str,
        entry: &Entry,
        ttl: u64,
        now: u64,
    ) -> Result<(), Denied> {
        let cluster = self.clusters.get_mut(token).ok_or(Denied::NoCluster)?;
        cluster.entries.retain(|_, end| *end > now);
        let entry = entry.to_string();
        if cluster.entries.len() >= MOST_ENTRIES && !cluster.entries.contains_key(&entry) {
            return Err(Denied::TooMany);
        }
        cluster.touched = now;
        let ttl = ttl.clamp(1, LONGEST_TTL);
        cluster.entries.insert(entry, now.saturating_add(ttl));
        Ok(())
    }

    /// The members of a cluster.
    pub(super) fn members(&self, token: &str, now: u64) -> Result<Vec<&str>, Denied> {
        let cluster = self.clusters.get(token).ok_or(Denied::NoCluster)?;
        let alive = cluster.entries.iter().filter(|(_, end)| **end > now);
        Ok(alive.map(|(entry, _)| entry.as_str()).collect())
    }

    /// Forgets a cluster.
    pub(super) fn remove(&mut self, token: &str) -> Result<(), Denied> {
        self.clusters
            .remove(token)
            .map(drop)
            .ok_or(Denied::NoCluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    #[test]
    fn members_stay_for_their_time() {
        let mut clusters = Clusters::default();
        clusters.create("t", 0).unwrap();
        clusters.register("t", &entry("a:1"), 10, 100).unwrap();
        clusters.register("t", &entry("b:1"), 20, 100).unwrap();
        assert_eq!(clusters.members("t", 109).unwrap(), ["a:1", "b:1"]);
        assert_eq!(clusters.members("t", 110).unwrap(), ["b:1"]);
        clusters.register("t", &entry("b:1"), 20, 119).unwrap();
        assert_eq!(clusters.members("t", 138).unwrap(), ["b:1"]);
        assert_eq!(clusters.members("t", 139).unwrap(), [""; 0]);
        clusters
            .register("t", &entry("c:1"), u64::MAX, 139)
            .unwrap();
        assert!(clusters.members("t", 139 + LONGEST_TTL).unwrap().is_empty());
    }

    #[test]
    fn nobody_gets_into_a_cluster_that_is_not_there() {
        let mut clusters = Clusters::default();
        assert_eq!(
            clusters.register("t", &entry("a:1"), 9, 0),
            Err(Denied::NoCluster)
        );
        assert_eq!(clusters.members("t", 0), Err(Denied::NoCluster));
        assert_eq!(clusters.remove("t"), Err(Denied::NoCluster));
        clusters.create("t", 0).unwrap();
        clusters.remove("t").unwrap();
        assert_eq!(clusters.members("t", 0), Err(Denied::NoCluster));
    }

    #[test]
    fn there_is_an_end_to_everything() {
        let mut clusters = Clusters::default();
        clusters.create("t", 0).unwrap();
        for number in 0..MOST_ENTRIES {
            let entry = entry(&format!("n{number}:1"));
            clusters.register("t", &entry, 9, 0).unwrap();
        }
        assert_eq!(
            clusters.register("t", &entry("x:1"), 9, 0),
            Err(Denied::TooMany)
        );
        clusters.register("t", &entry("n0:1"), 9, 0).unwrap();
        clusters.register("t", &entry("x:1"), 9, 9).unwrap();
    }
}
