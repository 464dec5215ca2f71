//! Whether a lost container is created elsewhere, from what, and when. Pure.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::privileges::Privilege;
use crate::statement::Unverified;

/// What a lost container is created from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The request that a manager signed.
    Request(Value),
    /// What its engine reported last.
    Inspect,
}

/// Why a lost container is not created elsewhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejected {
    /// It was moved before, or another node copied its label.
    #[error("its swarm ID is in use by {0}")]
    InUse(String),
    /// Nothing proves that a client requested its privileges.
    #[error("unverified ({why}), and requests {privilege}")]
    Unverified {
        /// Why it is unverified.
        why: Unverified,
        /// First setting that is not harmless.
        privilege: Privilege,
    },
}

impl Rejected {
    /// The kind of reason, by which `docker info` counts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InUse(_) => "swarm ID in use by another container",
            Self::Unverified { .. } => "unverified with privileges",
        }
    }
}

/// What the decision about a lost container depends on.
pub struct Facts {
    /// Its verified request.
    pub request: Result<Value, Unverified>,
    /// First setting that is not harmless, in what its engine reported.
    pub privilege: Option<Privilege>,
    /// Container that has its swarm ID elsewhere.
    pub in_use_by: Option<String>,
    /// Whether `swarm.reschedule-unverified` is set.
    pub allow_unverified: bool,
}

/// Decides what a lost container is created from.
///
/// # Errors
/// [`Rejected`].
pub fn source(facts: Facts) -> Result<Source, Rejected> {
    if let Some(other) = facts.in_use_by {
        return Err(Rejected::InUse(other));
    }
    match (facts.request, facts.privilege) {
        (Ok(request), _) => Ok(Source::Request(request)),
        (Err(why), Some(privilege)) if !facts.allow_unverified => {
            Err(Rejected::Unverified { why, privilege })
        }
        (Err(_), _) => Ok(Source::Inspect),
    }
}

/// When a lost container may move: its node must have been lost, and contact with enough of the
/// others sufficient, for the whole delay. `None` while contact is not sufficient.
pub fn due(
    lost_at: Instant,
    contact_since: Option<Instant>,
    delay: Duration,
    retry_at: Option<Instant>,
) -> Option<Instant> {
    let begin = lost_at.max(contact_since?);
    let due = begin + delay;
    Some(retry_at.map_or(due, |retry_at| retry_at.max(due)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::privileges::first_privilege;
    use super::*;

    #[test]
    fn source_is_the_signed_request_or_harmless() {
        let privilege = || first_privilege(&json!({"HostConfig": {"Privileged": true}}), false);
        let request = || Ok(json!({"Image": "x"}));
        let forged = || Err(Unverified::OtherNode);
        let in_use = || Some("n2/web".to_owned());
        for (request, privilege, in_use_by, allow_unverified, expected) in [
            (request(), privilege(), None, false, "request"),
            (request(), privilege(), None, true, "request"),
            (request(), None, in_use(), true, "in use"),
            (forged(), None, None, false, "inspect"),
            (forged(), privilege(), None, false, "unverified"),
            (
                Err(Unverified::NoTls),
                privilege(),
                None,
                false,
                "unverified",
            ),
            (forged(), privilege(), None, true, "inspect"),
            (forged(), privilege(), in_use(), true, "in use"),
        ] {
            let case = format!("{request:?} {privilege:?} {in_use_by:?} {allow_unverified}");
            let decision = match source(Facts {
                request,
                privilege,
                in_use_by,
                allow_unverified,
            }) {
                Ok(Source::Request(_)) => "request",
                Ok(Source::Inspect) => "inspect",
                Err(Rejected::InUse(_)) => "in use",
                Err(Rejected::Unverified { .. }) => "unverified",
            };
            assert_eq!(decision, expected, "{case}");
        }
    }

    #[test]
    fn container_is_due_after_the_delay_with_contact() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        for (lost_at, contact_since, retry_at, expected) in [
            (10, Some(0), None, Some(40)),
            (10, Some(20), None, Some(50)),
            (10, Some(0), Some(35), Some(40)),
            (10, Some(0), Some(45), Some(45)),
            (10, None, None, None),
            (10, None, Some(45), None),
        ] {
            let due = due(
                at(lost_at),
                contact_since.map(at),
                Duration::from_secs(30),
                retry_at.map(at),
            );
            assert_eq!(
                due,
                expected.map(at),
                "{lost_at} {contact_since:?} {retry_at:?}"
            );
        }
    }
}
