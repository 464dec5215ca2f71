use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A machine's way from nothing to an engine that answers.
///
/// ```text
/// Checked → Created → Reachable → Provisioned → Joined → Ready
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Phase {
    /// The driver's pre-create check passed.
    Checked,
    /// The driver made the machine, or adopted it.
    Created,
    /// A command ran on the machine over SSH.
    Reachable,
    /// The engine is configured, with our certificates.
    Provisioned,
    /// The machine's part in a cluster runs, and the cluster's manager calls the node healthy.
    /// Machines outside clusters pass it over.
    Joined,
    /// The engine answered at the URL and with the certificates that `env` prints.
    Ready,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 6] = [
        Self::Checked,
        Self::Created,
        Self::Reachable,
        Self::Provisioned,
        Self::Joined,
        Self::Ready,
    ];

    /// The word that the record and `ls` use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checked => "Checked",
            Self::Created => "Created",
            Self::Reachable => "Reachable",
            Self::Provisioned => "Provisioned",
            Self::Joined => "Joined",
            Self::Ready => "Ready",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPhase(text.to_owned()))
    }
}

/// The text names no phase.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a phase: Checked, Created, Reachable, Provisioned, Joined or Ready")]
pub struct UnknownPhase(pub String);

/// A phase, with when it was begun or done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// When; unknown for the phases of a machine that docker-machine made.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "timestamp")]
    pub at: Option<OffsetDateTime>,
}

/// Why the last attempt ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failure {
    /// The phase that was not done.
    pub phase: Phase,
    /// The error in one line, without secrets.
    pub message: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "timestamp")]
    pub at: Option<OffsetDateTime>,
}

/// How far a machine has come, and where work on it goes on.
///
/// A phase that begins anew takes those after it along. A phase that was begun and is neither done
/// nor failed is at work, or was cut off.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Journal {
    done: Vec<PhaseTime>,
    begun: Option<PhaseTime>,
    last_error: Option<Failure>,
}

impl Journal {
    /// The journal of a machine that another program made, and that counts as ready.
    pub(crate) fn made_elsewhere() -> Self {
        let done = |phase| PhaseTime { phase, at: None };
        Self {
            done: Phase::ALL.map(done).into(),
            ..Self::default()
        }
    }

    /// The journal with these entries, in whatever order the file had them.
    pub(crate) fn from_parts(
        mut done: Vec<PhaseTime>,
        begun: Option<PhaseTime>,
        last_error: Option<Failure>,
    ) -> Self {
        done.sort_by_key(|done| done.phase);
        done.dedup_by_key(|done| done.phase);
        Self {
            done,
            begun,
            last_error,
        }
    }

    /// Whether another program made the machine and rmachine has completed no phase of it since.
    pub fn is_made_elsewhere(&self) -> bool {
        !self.done.is_empty() && self.done.iter().all(|done| done.at.is_none())
    }

    /// The first phase that is not done; `None` for a machine that is ready.
    pub fn next(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| !self.is_done(*phase))
    }

    /// Whether every phase is done.
    pub fn is_ready(&self) -> bool {
        self.next().is_none()
    }

    /// Whether this phase is done, or was passed over on the way to a later one: a machine that
    /// SSH does not reach goes from `Created` to `Ready`.
    pub fn is_done(&self, phase: Phase) -> bool {
        self.reached().is_some_and(|reached| phase <= reached)
    }

    /// The last phase that is done.
    pub fn reached(&self) -> Option<Phase> {
        self.done.last().map(|done| done.phase)
    }

    /// The phases that are done, in order.
    pub fn done_phases(&self) -> &[PhaseTime] {
        &self.done
    }

    /// The phase that is at work, or was when the program was cut off, and since when.
    pub fn begun(&self) -> Option<&PhaseTime> {
        self.begun.as_ref()
    }

    /// Why the last attempt ended, if it did not end well.
    pub fn last_error(&self) -> Option<&Failure> {
        self.last_error.as_ref()
    }

    /// Notes that work on a phase begins: it is no longer done, nor is any after it.
    pub fn begin(&mut self, phase: Phase, now: OffsetDateTime) {
        self.done.retain(|done| done.phase < phase);
        self.begun = Some(PhaseTime {
            phase,
            at: Some(now),
        });
    }

    /// Notes that a phase is done.
    pub fn done(&mut self, phase: Phase, now: OffsetDateTime) {
        self.done.retain(|done| done.phase < phase);
        self.done.push(PhaseTime {
            phase,
            at: Some(now),
        });
        self.begun = None;
        self.last_error = None;
    }

    /// Notes that work on a phase ended with an error.
    pub fn failed(&mut self, phase: Phase, message: impl Into<String>, now: OffsetDateTime) {
        self.done.retain(|done| done.phase < phase);
        self.begun = None;
        self.last_error = Some(Failure {
            phase,
            message: message.into(),
            at: Some(now),
        });
    }
}

mod timestamp {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub fn serialize<S: Serializer>(
        at: &Option<OffsetDateTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => {
                let text = at.format(&Rfc3339).map_err(S::Error::custom)?;
                serializer.serialize_some(&text)
            }
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<OffsetDateTime>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use Phase::{Checked, Created, Joined, Provisioned, Reachable, Ready};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    #[derive(Clone, Copy)]
    enum Event {
        Begin(Phase),
        Done(Phase),
        Failed(Phase),
    }
    use Event::{Begin, Done, Failed};

    fn after(events: &[Event]) -> Journal {
        let mut journal = Journal::default();
        for event in events {
            match *event {
                Begin(phase) => journal.begin(phase, NOW),
                Done(phase) => journal.done(phase, NOW),
                Failed(phase) => journal.failed(phase, "why", NOW),
            }
        }
        journal
    }

    #[test]
    fn work_goes_on_at_the_first_phase_that_is_not_done() {
        let all = Phase::ALL.map(Done);
        let anew = |events: &[Event]| [&all, events].concat();
        // What happened, then what is next, begun and failed.
        type Row<'a> = (&'a [Event], Option<Phase>, Option<Phase>, Option<Phase>);
        let table: [Row<'_>; 12] = [
            (&[], Some(Checked), None, None),
            (&[Begin(Checked)], Some(Checked), Some(Checked), None),
            (&[Begin(Checked), Done(Checked)], Some(Created), None, None),
            (
                &[Done(Checked), Begin(Created)],
                Some(Created),
                Some(Created),
                None,
            ),
            (
                &[Done(Checked), Begin(Created), Failed(Created)],
                Some(Created),
                None,
                Some(Created),
            ),
            (
                &[Done(Checked), Failed(Created), Begin(Created)],
                Some(Created),
                Some(Created),
                Some(Created),
            ),
            (
                &[Done(Checked), Failed(Created), Done(Created)],
                Some(Reachable),
                None,
                None,
            ),
            (&[Done(Created), Done(Ready)], None, None, None),
            (&all, None, None, None),
            (
                &anew(&[Begin(Provisioned)]),
                Some(Provisioned),
                Some(Provisioned),
                None,
            ),
            (
                &anew(&[Begin(Provisioned), Done(Provisioned)]),
                Some(Joined),
                None,
                None,
            ),
            (&anew(&[Failed(Ready)]), Some(Ready), None, Some(Ready)),
        ];
        for (row, (events, next, begun, failed)) in table.into_iter().enumerate() {
            let journal = after(events);
            assert_eq!(journal.next(), next, "row {row}");
            assert_eq!(journal.is_ready(), next.is_none(), "row {row}");
            assert_eq!(journal.begun().map(|begun| begun.phase), begun, "row {row}");
            assert_eq!(
                journal.last_error().map(|error| error.phase),
                failed,
                "row {row}"
            );
        }
    }

    #[test]
    fn a_phase_that_was_passed_over_is_done() {
        let journal = after(&[Done(Checked), Done(Created), Done(Ready)]);
        for phase in Phase::ALL {
            assert!(journal.is_done(phase), "{phase}");
        }
        assert_eq!(journal.done_phases().len(), 3);
    }

    #[test]
    fn a_machine_made_elsewhere_is_ready_and_can_be_worked_on() {
        let mut journal = Journal::made_elsewhere();
        assert!(journal.is_ready());
        journal.begin(Provisioned, NOW);
        assert_eq!(journal.next(), Some(Provisioned));
        assert_eq!(journal.reached(), Some(Reachable));
    }

    #[test]
    fn phases_are_read_in_any_case() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().to_lowercase().parse(), Ok(phase));
        }
        assert!("Started".parse::<Phase>().is_err());
    }
}
