//! The options of a driver with which a half-made machine was begun, and those that are asked for
//! when it is taken up.

use rmachine_driver::{DriverKind, FlagValues, Report};
use rmachine_machine::{Phase, Record};

use crate::{LifecycleError, MachineSpec};

/// What is asked of the driver, but for what is as by default.
pub(crate) fn given(kind: &dyn DriverKind, spec: &MachineSpec) -> FlagValues {
    spec.flags.besides(&FlagValues::defaults(kind.flags()))
}

/// Whether the driver goes on with what it made, and flags have no say any more.
pub(crate) fn something_is_made(record: &Record) -> bool {
    record.own.journal.is_done(Phase::Created) || !record.own.owned.is_empty()
}

/// Refuses options other than those of then. One that is left out is as it was; a record of an
/// earlier version does not tell.
pub(crate) fn must_be_those_of_then(
    found: &Record,
    given: &FlagValues,
) -> Result<(), LifecycleError> {
    let Some(begun) = &found.own.flags else {
        return Ok(());
    };
    let asked = given.besides(begun);
    if asked.is_empty() {
        return Ok(());
    }
    Err(LifecycleError::OtherOptions {
        name: found.name().clone(),
        driver: found.driver_name().to_owned(),
        begun: begun.clone(),
        asked,
    })
}

/// Tells of the options of then that are left out now.
pub(crate) fn tell_left_out(found: &Record, given: &FlagValues, report: &dyn Report) {
    let begun = found.own.flags.clone().unwrap_or_default();
    let left_out = begun.besides(given);
    if !left_out.is_empty() {
        report.warn(&format!("it goes on as it was begun, with {left_out}"));
    }
}
