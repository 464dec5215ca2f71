//! What a token service keeps: pure, the time is handed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::Entry;
use crate::roster::{Full, Roster};

/// How many clusters there may be.
const MOST_CLUSTERS: usize = 10_000;

/// How many members all clusters may have together.
const MOST_MEMBERS: usize = 200_000;

/// The clusters by their tokens.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    clusters: BTreeMap<String, Cluster>,
    members: usize,
    revision: u64,
}

#[derive(Debug)]
struct Cluster {
    /// When it was last asked for.
    touched: Instant,
    roster: Roster,
}

/// The clusters as they are saved: the members, and how many seconds each stays.
pub(super) type Saved = BTreeMap<String, BTreeMap<String, u64>>;

/// Why something is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Denied {
    /// There is no such cluster.
    NoCluster,
    /// There are too many clusters, or members.
    TooMany,
}

impl From<Full> for Denied {
    fn from(_: Full) -> Self {
        Self::TooMany
    }
}

impl Clusters {
    /// The clusters that were saved.
    pub(super) fn restored(saved: &Saved, now: Instant) -> Result<Self, String> {
        let mut clusters = Self::default();
        for (token, members) in saved {
            let cluster = clusters.at(token, now);
            cluster.map_err(|_| "it has too many clusters".to_owned())?;
            for (entry, ttl) in members {
                let entry = entry.parse().map_err(|error| format!("{error}"))?;
                let registered = clusters.register(token, entry, Duration::from_secs(*ttl), now);
                registered.map_err(|_| "it has too many members".to_owned())?;
            }
        }
        Ok(clusters)
    }

    /// What is worth saving.
    pub(super) fn saved(&self) -> Saved {
        let members = |roster: &Roster| {
            let ttls = roster.ttls();
            ttls.map(|(entry, ttl)| (entry.to_string(), ttl.as_secs()))
                .collect()
        };
        let clusters = self.clusters.iter();
        clusters
            .map(|(token, cluster)| (token.clone(), members(&cluster.roster)))
            .collect()
    }

    /// Counts the changes of what is worth saving.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds an empty cluster.
    pub(super) fn create(&mut self, token: &str, now: Instant) -> Result<(), Denied> {
        self.at(token, now).map(drop)
    }

    /// Adds a member for a time, or gives it more of it. A service that lost its clusters gets
    /// them back from their members, who know the token; one that is mistyped makes none.
    pub(super) fn register(
        &mut self,
        token: &str,
        entry: Entry,
        ttl: Duration,
        now: Instant,
    ) -> Result<(), Denied> {
        if !is_token(token) && !self.clusters.contains_key(token) {
            return Err(Denied::NoCluster);
        }
        let full = self.members >= MOST_MEMBERS;
        self.change(token, now, |roster| {
            if full && !roster.contains(&entry) {
                return Err(Denied::TooMany);
            }
            Ok(roster.register(entry, ttl, now)?)
        })
    }

    /// The members of a cluster.
    pub(super) fn members(&mut self, token: &str, now: Instant) -> Result<Vec<String>, Denied> {
        if !self.clusters.contains_key(token) {
            return Err(Denied::NoCluster);
        }
        self.change(token, now, |roster| {
            Ok(roster.entries().iter().map(Entry::to_string).collect())
        })
    }

    /// Forgets a cluster.
    pub(super) fn remove(&mut self, token: &str) -> Result<(), Denied> {
        let removed = self.clusters.remove(token).ok_or(Denied::NoCluster)?;
        self.members -= removed.roster.len();
        self.revision += 1;
        Ok(())
    }

    fn change<R>(
        &mut self,
        token: &str,
        now: Instant,
        act: impl FnOnce(&mut Roster) -> Result<R, Denied>,
    ) -> Result<R, Denied> {
        let roster = &mut self.at(token, now)?.roster;
        let (members, revision) = (roster.len(), roster.revision());
        roster.expire(now);
        let acted = act(roster);
        let (members_now, revision_now) = (roster.len(), roster.revision());
        self.members = self.members + members_now - members;
        self.revision += revision_now - revision;
        acted
    }

    fn at(&mut self, token: &str, now: Instant) -> Result<&mut Cluster, Denied> {
        if !self.clusters.contains_key(token) && self.clusters.len() >= MOST_CLUSTERS {
            self.make_room(now)?;
        }
        let cluster = self.clusters.entry(token.to_owned()).or_insert_with(|| {
            self.revision += 1;
            Cluster {
                touched: now,
                roster: Roster::default(),
            }
        });
        cluster.touched = now;
        Ok(cluster)
    }

    /// Forgets the empty cluster that nobody has asked for the longest.
    fn make_room(&mut self, now: Instant) -> Result<(), Denied> {
        for cluster in self.clusters.values_mut() {
            let (members, revision) = (cluster.roster.len(), cluster.roster.revision());
            cluster.roster.expire(now);
            self.members -= members - cluster.roster.len();
            self.revision += cluster.roster.revision() - revision;
        }
        let empty = self.clusters.iter();
        let empty = empty.filter(|(_, cluster)| cluster.roster.is_empty());
        let oldest = empty.min_by_key(|(_, cluster)| cluster.touched);
        let token = oldest.map(|(token, _)| token.clone());
        self.remove(&token.ok_or(Denied::TooMany)?)
    }
}

/// Whether this is a token as the service gives them.
fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(9);

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    #[test]
    fn members_stay_for_their_time() {
        let start = Instant::now();
        let mut clusters = Clusters::default();
        clusters.create("t", start).unwrap();
        clusters.register("t", entry("b:1"), TTL, start).unwrap();
        clusters
            .register("t", entry("a:1"), 2 * TTL, start)
            .unwrap();
        assert_eq!(clusters.members("t", start).unwrap(), ["a:1", "b:1"]);
        assert_eq!(clusters.members("t", start + TTL).unwrap(), ["a:1"]);
        assert_eq!(clusters.members("u", start), Err(Denied::NoCluster));
    }

    #[test]
    fn only_changes_are_counted() {
        let now = Instant::now();
        let mut clusters = Clusters::default();
        let mut last = clusters.revision();
        let mut changed =
            |clusters: &Clusters| std::mem::replace(&mut last, clusters.revision()) != last;
        clusters.create("t", now).unwrap();
        assert!(changed(&clusters));
        clusters.register("t", entry("a:1"), TTL, now).unwrap();
        assert!(changed(&clusters));
        clusters.register("t", entry("a:1"), TTL, now).unwrap();
        clusters.members("t", now).unwrap();
        assert!(!changed(&clusters));
        clusters.members("t", now + TTL).unwrap();
        assert!(changed(&clusters));
        clusters.remove("t").unwrap();
        assert!(changed(&clusters));
        assert_eq!(clusters.remove("t"), Err(Denied::NoCluster));
        assert!(!changed(&clusters));
    }

    #[test]
    fn clusters_come_back_as_they_were_saved() {
        let now = Instant::now();
        let mut clusters = Clusters::default();
        clusters.create("empty", now).unwrap();
        clusters.create("t", now).unwrap();
        clusters.register("t", entry("a:1"), TTL, now).unwrap();
        let saved = clusters.saved();
        let later = now + 100 * TTL;
        let mut clusters = Clusters::restored(&saved, later).unwrap();
        assert_eq!(clusters.members("t", later).unwrap(), ["a:1"]);
        assert_eq!(clusters.members("empty", later).unwrap(), [""; 0]);
        let odd = BTreeMap::from([("t".to_owned(), BTreeMap::from([("odd".to_owned(), 1)]))]);
        assert!(Clusters::restored(&odd, now).is_err());
    }

    #[test]
    fn a_cluster_that_was_lost_is_made_anew_by_its_members() {
        let now = Instant::now();
        let mut clusters = Clusters::default();
        let token = "0123456789abcdef0123456789ABCDEF";
        clusters.register(token, entry("a:1"), TTL, now).unwrap();
        assert_eq!(clusters.members(token, now).unwrap(), ["a:1"]);
        for odd in ["", "t", &token[1..], &token.replace('0', "g")] {
            let registered = clusters.register(odd, entry("a:1"), TTL, now);
            assert_eq!(registered, Err(Denied::NoCluster), "{odd}");
        }
    }

    #[test]
    fn there_is_an_end_to_clusters() {
        let start = Instant::now();
        let mut clusters = Clusters::default();
        let token = |number: usize| format!("{number:032x}");
        for number in 0..MOST_CLUSTERS {
            let registered = clusters.register(&token(number), entry("a:1"), TTL, start);
            registered.unwrap();
        }
        assert_eq!(clusters.create("x", start), Err(Denied::TooMany));
        let known = clusters.register(&token(7), entry("b:1"), TTL, start);
        known.unwrap();
        // Who has a member stays; the others go in the order in which they were written to.
        let later = start + TTL / 2;
        for number in (0..MOST_CLUSTERS).filter(|number| *number != 5) {
            let registered = clusters.register(&token(number), entry("a:1"), TTL, later);
            registered.unwrap();
        }
        clusters.create("x", start + TTL).unwrap();
        let end = start + TTL;
        assert_eq!(clusters.members(&token(5), end), Err(Denied::NoCluster));
        assert_eq!(clusters.members(&token(7), end).unwrap(), ["a:1"]);
    }
}
