//! Waiting for a master that is being made: by this process, in the same `up`, or by another one.
//!
//! Whoever makes a machine holds its lock and writes its journal, so the two together tell how it
//! stands, and a master whose maker was killed is not waited for.

use std::fmt;
use std::time::Instant;

use rmachine_driver::{MachineName, Report};
use rmachine_machine::{Journal, Phase, Record, StoreError};

use crate::{LifecycleError, Machines, bounds};

/// Why a master will not be there for those that want to join it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lost {
    /// It could not be made, or somebody removed it.
    Gone,
    /// Its making ended with this error.
    Failed(String),
    /// Its making was cut off before this phase.
    CutOff(Phase),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("is not there any more"),
            Self::Failed(why) => write!(f, "has failed: {why}"),
            Self::CutOff(phase) => write!(f, "was cut off before it was {phase}"),
        }
    }
}

/// How a master stands.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Standing {
    Ready,
    AtWork(Option<Phase>),
    Lost(Lost),
}

/// Judges by its journal; `None` for a master without a record. What was ready before somebody
/// began to work on it may be another one afterwards.
fn standing(at_work: bool, journal: Option<&Journal>) -> Standing {
    match (at_work, journal) {
        (true, journal) => Standing::AtWork(journal.and_then(Journal::next)),
        (false, None) => Standing::Lost(Lost::Gone),
        (false, Some(journal)) => match (journal.next(), journal.last_error()) {
            (None, _) => Standing::Ready,
            (Some(_), Some(failure)) => Standing::Lost(Lost::Failed(failure.message.clone())),
            (Some(next), None) => Standing::Lost(Lost::CutOff(next)),
        },
    }
}

impl Machines {
    /// Waits until nobody works on a master any more, and returns its record when it is ready.
    ///
    /// # Errors
    /// [`LifecycleError::MasterLost`] as soon as it is clear that it will not be;
    /// [`LifecycleError::MasterAwaited`] at the end of the bound.
    pub(crate) async fn await_master(
        &self,
        master: &MachineName,
        report: &dyn Report,
    ) -> Result<Record, LifecycleError> {
        let started = Instant::now();
        let mut told = false;
        loop {
            // The lock first: the record of a master that nobody works on is its last one.
            let at_work = self.store.is_worked_on(master)?;
            let record = match self.store.load(master) {
                Ok(record) => Some(record),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let journal = record.as_ref().map(|record| &record.own.journal);
            match (standing(at_work, journal), record) {
                (Standing::Ready, Some(record)) => return Ok(record),
                (Standing::Lost(why), _) => {
                    return Err(LifecycleError::MasterLost {
                        master: master.clone(),
                        why,
                    });
                }
                (Standing::AtWork(next), _) if started.elapsed() >= bounds::MASTER => {
                    return Err(LifecycleError::MasterAwaited {
                        master: master.clone(),
                        waited: bounds::MASTER,
                        next,
                    });
                }
                (Standing::AtWork(_) | Standing::Ready, _) => {}
            }
            if !told {
                report.step(&format!("waiting for the master {master} to be ready"));
                told = true;
            }
            tokio::time::sleep(bounds::MASTER_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use rmachine_machine::{CertificateOverrides, Store};
    use time::OffsetDateTime;

    use super::*;

    fn journal(change: impl FnOnce(&mut Journal)) -> Journal {
        let mut journal = Journal::default();
        journal.done(Phase::Checked, OffsetDateTime::UNIX_EPOCH);
        change(&mut journal);
        journal
    }

    #[test]
    fn a_master_is_waited_for_as_long_as_somebody_works_on_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let ready = journal(|it| it.done(Phase::Ready, now));
        let begun = journal(|it| it.begin(Phase::Created, now));
        let failed = journal(|it| it.failed(Phase::Created, "no disk", now));
        let lost = Standing::Lost;
        for (at_work, journal, expected) in [
            (true, None, Standing::AtWork(None)),
            (true, Some(&begun), Standing::AtWork(Some(Phase::Created))),
            // An earlier attempt failed.
            (true, Some(&failed), Standing::AtWork(Some(Phase::Created))),
            (true, Some(&ready), Standing::AtWork(None)),
            (false, Some(&ready), Standing::Ready),
            (false, Some(&begun), lost(Lost::CutOff(Phase::Created))),
            (
                false,
                Some(&failed),
                lost(Lost::Failed("no disk".to_owned())),
            ),
            (false, None, lost(Lost::Gone)),
        ] {
            assert_eq!(
                standing(at_work, journal),
                expected,
                "{at_work} {journal:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_wait_ends_at_once_with_the_master() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let machines = Machines::new(store.clone(), Vec::new(), Default::default());
        let name: MachineName = "m1".parse().unwrap();
        let certificates = store.certificates(&CertificateOverrides::default());
        let record = Record::new(
            store.layout(),
            &certificates,
            name.clone(),
            "none",
            Default::default(),
        );
        let guard = store.create(record, bounds::MACHINE_LOCK).unwrap();
        let wait = machines.await_master(&name, &rmachine_driver::Silent);
        let made = async {
            tokio::time::sleep(bounds::MASTER_PAUSE).await;
            guard.failed(Phase::Created, "no disk").unwrap();
            drop(guard);
        };
        let (waited, ()) = tokio::join!(wait, made);
        let told = waited.unwrap_err().to_string();
        assert_eq!(
            told,
            "the master m1 has failed: no disk, so nobody can join it"
        );
    }
}
