//! What `docker info` shows of rescheduling.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Cluster;
use super::contact::Contact;

/// Result of the primary's last look at lost containers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RescheduleStatus {
    /// Set while nothing is rescheduled because too few nodes answer.
    pub suspended: Option<Contact>,
    /// Lost containers that are not rescheduled, by reason.
    pub rejected: BTreeMap<String, usize>,
}

impl Cluster {
    /// Replaces the status.
    pub fn set_reschedule_status(&self, status: RescheduleStatus) {
        *self.lock_reschedule_status() = status;
    }

    /// The status; the default on a replica.
    pub fn reschedule_status(&self) -> RescheduleStatus {
        self.lock_reschedule_status().clone()
    }

    fn lock_reschedule_status(&self) -> std::sync::MutexGuard<'_, RescheduleStatus> {
        let status = &self.inner.reschedule_status;
        status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
