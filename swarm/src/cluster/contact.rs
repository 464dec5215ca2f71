//! With how many of its nodes the manager is in contact, and since when with enough of them.
//!
//! A manager whose own network fails loses all nodes at once, while their containers run on. It must
//! not move any of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cluster;
use super::state::State;

/// How many nodes are known, and how many of them answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Contact {
    /// Nodes that have answered at least once, including those that left the discovery a moment
    /// ago.
    pub known: usize,
    /// Nodes that answer now.
    pub reached: usize,
}

impl Contact {
    /// Whether the manager reaches at least half of the nodes. One of two is enough: the other one
    /// is more likely to be down than the manager's own network.
    pub fn is_sufficient(self) -> bool {
        self.reached >= self.known - self.reached.min(self.known)
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} nodes", self.reached, self.known)
    }
}

/// Since when contact is sufficient without a break.
#[derive(Debug, Default)]
pub(super) struct ContactLog {
    since: Option<Instant>,
}

impl ContactLog {
    /// Takes an observation into account, and returns since when contact is sufficient.
    pub(super) fn observe(&mut self, contact: Contact, now: Instant) -> Option<Instant> {
        self.since = contact.is_sufficient().then(|| self.since.unwrap_or(now));
        self.since
    }
}

/// Nodes that left the discovery, and when.
pub(crate) type Left = BTreeMap<Arc<str>, Instant>;

impl State {
    fn contact(&self, now: Instant, window: Duration) -> Contact {
        let known = self.members.values().filter(|it| it.about.is_some());
        let is_reached = |healthy: bool, silent: bool| usize::from(healthy && !silent);
        let (count, reached) = known.fold((0, 0), |(count, reached), member| {
            let is_silent = member.silent_since.is_some();
            (
                count + 1,
                reached + is_reached(member.life.is_healthy(), is_silent),
            )
        });
        let left = self.left.iter().filter(|(addr, at)| {
            !self.members.contains_key(*addr) && now.saturating_duration_since(**at) < window
        });
        Contact {
            known: count + left.count(),
            reached,
        }
    }
}

impl Cluster {
    /// Observes with how many nodes the manager is in contact. Returns also since when that is
    /// sufficient without a break; `None` if it is not.
    pub fn observe_contact(&self) -> (Contact, Option<Instant>) {
        let now = Instant::now();
        let contact = {
            let state = self.read();
            state.contact(now, self.inner.settings.reschedule.delay)
        };
        let mut log = self
            .inner
            .contact
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        (contact, log.observe(contact, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_with_half_of_the_nodes_is_sufficient() {
        for (reached, known, is_sufficient) in [
            (0, 0, true),
            (0, 1, false),
            (1, 1, true),
            (1, 2, true),
            (0, 2, false),
            (1, 3, false),
            (2, 3, true),
            (2, 4, true),
            (499, 1000, false),
            (500, 1000, true),
        ] {
            let contact = Contact { known, reached };
            assert_eq!(contact.is_sufficient(), is_sufficient, "{contact}");
        }
    }

    #[test]
    fn contact_counts_from_the_end_of_the_last_break() {
        let mut log = ContactLog::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        for (seconds, reached, since) in [
            (0, 4, Some(0)),
            (5, 3, Some(0)),
            (6, 1, None),
            (7, 1, None),
            (8, 2, Some(8)),
            (60, 4, Some(8)),
        ] {
            let observed = log.observe(Contact { known: 4, reached }, at(seconds));
            assert_eq!(observed, since.map(at), "{seconds}");
        }
    }
}
