//! What is noted in a machine's record about work that ended. A record that cannot be written, on a
//! full disk for one, hides nothing of how the work itself went.

use std::error::Error as _;

use rmachine_driver::{Driver, DriverError, Report, hide_url_credentials};
use rmachine_machine::MachineGuard;

use crate::LifecycleError;

/// Keeps what a driver knows after its work, however that ended.
///
/// # Errors
/// The work's own, before the record's.
pub(crate) fn after_work(
    guard: &MachineGuard,
    driver: &dyn Driver,
    outcome: Result<(), DriverError>,
) -> Result<(), LifecycleError> {
    let kept = guard.set_driver(driver.config());
    outcome?;
    Ok(kept?)
}

/// Notes in which phase a machine is stuck, and why.
pub(crate) fn failed(guard: &MachineGuard, failure: &LifecycleError, report: &dyn Report) {
    if let Some(phase) = guard.journal().next()
        && let Err(error) = guard.failed(phase, hide_url_credentials(&failure.to_string()))
    {
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        report.warn(&format!("its failure could not be noted: {error}: {why}"));
    }
}
