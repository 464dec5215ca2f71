//! How long containers of nodes that left the discovery wait for a place elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cluster;
use super::orphan::{Departed, Orphan};

/// How long a container waits: a node that is gone for so long does not come back by itself, and
/// neither does a place that nobody makes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How many containers wait at most; each is kept with all that its engine told of it.
const MOST: usize = 10_000;

impl Cluster {
    /// Gives up the containers of nodes that left the discovery which have waited too long, and
    /// those that have waited longest where there are too many. Returns them.
    pub fn give_up_departed(&self) -> Vec<Orphan> {
        let is_empty = self.read().departed.is_empty();
        if is_empty {
            return Vec::new();
        }
        take_hopeless(&mut self.write().departed, Instant::now(), MOST)
    }
}

fn take_hopeless(departed: &mut Departed, now: Instant, most: usize) -> Vec<Orphan> {
    let mut oldest_first: Vec<(Instant, Arc<str>)> = departed
        .values()
        .map(|orphan| (orphan.lost_at, Arc::clone(&orphan.id)))
        .collect();
    oldest_first.sort_unstable();
    let surplus = departed.len().saturating_sub(most);
    let hopeless = oldest_first
        .into_iter()
        .enumerate()
        .filter(|(position, (lost_at, _))| {
            *position < surplus || now.saturating_duration_since(*lost_at) >= LONGEST_WAIT
        });
    hopeless
        .filter_map(|(_, (_, id))| departed.remove(&id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rmachine_engine::{ApiVersion, ApiWindow};

    use super::*;
    use crate::cluster::About;

    fn orphan(id: &str, lost_at: Instant) -> Orphan {
        let node = About {
            id: "ID".to_owned(),
            name: "node-1".to_owned(),
            addr: "127.0.0.1:1".into(),
            ip: "127.0.0.1".to_owned(),
            cpus: 1,
            memory: 1,
            labels: BTreeMap::new(),
            version: "20.10.24".to_owned(),
            skew: 0,
            api: ApiWindow {
                oldest: ApiVersion::OLDEST,
                newest: ApiVersion::NEWEST,
            },
        };
        Orphan {
            id: id.into(),
            name: id.into(),
            swarm_id: id.into(),
            node: Arc::new(node),
            lost_at,
            was_running: true,
            inspect: Arc::default(),
            begun: None,
        }
    }

    #[test]
    fn departed_containers_are_given_up_by_age_and_number() {
        let begin = Instant::now();
        let at = |hours: u64| begin + Duration::from_secs(hours * 3600);
        for (now, most, given_up) in [
            (at(3), 4, vec![]),
            (at(3), 3, vec!["a"]),
            (at(3), 1, vec!["a", "b", "c"]),
            (at(24), 4, vec!["a"]),
            (at(26), 4, vec!["a", "b", "c"]),
            (at(26), 0, vec!["a", "b", "c", "d"]),
            (begin, 4, vec![]),
        ] {
            let lost = [("d", 3), ("b", 1), ("a", 0), ("c", 2)];
            let mut departed: Departed = lost
                .map(|(id, hours)| (Arc::from(id), orphan(id, at(hours))))
                .into();
            let taken = take_hopeless(&mut departed, now, most);
            let taken: Vec<&str> = taken.iter().map(|orphan| &*orphan.id).collect();
            assert_eq!(taken, given_up);
            assert_eq!(departed.len(), lost.len() - given_up.len());
        }
    }
}
