//! Logs what is not rescheduled, and why, once.

use std::collections::{BTreeMap, BTreeSet};

use super::Key;
use super::eligibility::{Rejected, Source};
use crate::cluster::{Cluster, Orphan, RescheduleStatus};

/// Remembers what was logged.
#[derive(Default)]
pub struct Reporter {
    is_suspended: bool,
    logged: BTreeMap<Key, String>,
}

impl Reporter {
    /// Forgets containers that are no longer lost.
    pub fn forget_all_but(&mut self, keys: impl Iterator<Item = Key>) {
        if !self.logged.is_empty() {
            let keys: BTreeSet<_> = keys.collect();
            self.logged.retain(|key, _| keys.contains(key));
        }
    }

    /// Logs that rescheduling is suspended or resumed, when that changes.
    pub fn suspended(&mut self, status: &RescheduleStatus) {
        let is_suspended = status.suspended.is_some();
        if is_suspended == self.is_suspended {
            return;
        }
        self.is_suspended = is_suspended;
        match status.suspended {
            Some(contact) => tracing::warn!(
                "rescheduling is suspended: contact with {contact}, expected at least half"
            ),
            None => tracing::info!("contact is sufficient again: rescheduling resumes"),
        }
    }

    /// Logs why a container is not rescheduled.
    pub fn rejected(&mut self, orphan: &Orphan, rejected: &Rejected) {
        self.log(orphan, format!("is not rescheduled: {rejected}"));
    }

    /// Logs that a container is created from a report in spite of a statement that does not hold.
    pub fn accepted(&mut self, cluster: &Cluster, orphan: &Orphan, source: &Source) {
        if *source != Source::Inspect {
            return;
        }
        let request = orphan.request(cluster.notary().as_ref());
        if let Err(why) = request
            && why.is_suspicious()
        {
            self.log(orphan, format!("is rescheduled as unverified: {why}"));
        }
    }

    fn log(&mut self, orphan: &Orphan, what: String) {
        if self.logged.get(&orphan.key()) != Some(&what) {
            tracing::warn!("container {} of {} {what}", orphan.name, orphan.node.name);
            self.logged.insert(orphan.key(), what);
        }
    }
}
