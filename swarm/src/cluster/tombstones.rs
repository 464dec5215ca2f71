//! Containers that were removed lately: lists that were requested before may still have them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How old a list can be when it is taken over: an engine has no longer to answer.
const LIFETIME: Duration = Duration::from_secs(60);

/// The most removed containers that are remembered; the oldest are forgotten first.
const MOST: usize = 8192;

/// The ids of a node's removed containers.
#[derive(Default)]
pub(crate) struct Tombstones {
    times: HashMap<Arc<str>, Instant>,
    order: VecDeque<(Instant, Arc<str>)>,
}

impl Tombstones {
    /// Remembers that a container was removed just now.
    pub(crate) fn insert(&mut self, id: &Arc<str>) {
        self.insert_at(id, Instant::now());
    }

    fn insert_at(&mut self, id: &Arc<str>, now: Instant) {
        self.times.insert(Arc::clone(id), now);
        self.order.push_back((now, Arc::clone(id)));
        while let Some((at, oldest)) = self.order.front() {
            if self.order.len() <= MOST && now.saturating_duration_since(*at) < LIFETIME {
                return;
            }
            if self.times.get(oldest) == Some(at) {
                self.times.remove(oldest);
            }
            self.order.pop_front();
        }
    }

    /// Whether a container was removed lately.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.times.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_expire_and_are_limited() {
        let start = Instant::now();
        let mut tombstones = Tombstones::default();
        let (first, second): (Arc<str>, Arc<str>) = ("first".into(), "second".into());
        tombstones.insert_at(&first, start);
        tombstones.insert_at(&first, start + LIFETIME / 2);
        tombstones.insert_at(&second, start + LIFETIME);
        assert!(tombstones.contains("first") && tombstones.contains("second"));
        tombstones.insert_at(&second, start + LIFETIME * 2);
        assert!(!tombstones.contains("first"));
        for number in 0..MOST * 2 {
            tombstones.insert_at(&number.to_string().into(), start + LIFETIME * 2);
        }
        assert_eq!(tombstones.times.len(), MOST);
        assert_eq!(tombstones.order.len(), MOST);
    }
}
