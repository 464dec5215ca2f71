use std::time::Duration;

use rmachine_driver::Report;
use rmachine_ssh::{Privilege, Run, Ssh};

use crate::apply::read_facts;
use crate::error::ProvisionError;
use crate::outcome::Outcome;
use crate::plan::Service;
use crate::script::{self, Ground};

const RESTORE_LIMIT: Duration = Duration::from_secs(300);

/// What [`restore`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restored {
    /// Every file is as it was before rmachine came.
    Everything,
    /// rmachine had changed nothing on this host.
    Nothing,
}

/// Puts back every file that rmachine has changed on a host, and restarts its engine. Packages
/// stay. A restoration that was cut off can be run again.
///
/// # Errors
/// [`ProvisionError::EngineDidNotStart`] when the engine does not come up with its old
/// configuration; the files are back then.
pub async fn restore(ssh: &dyn Ssh, report: &dyn Report) -> Result<Restored, ProvisionError> {
    report.step("looking at the host");
    let facts = read_facts(ssh).await?;
    let service = Service::of(&facts);
    let step = "putting back what was there before";
    report.step(step);
    let output = ssh
        .run(&Run {
            step,
            script: &script::restore(&service, &Ground::default())?,
            privilege: Privilege::Root,
            limit: RESTORE_LIMIT,
        })
        .await?;
    Ok(if Outcome::read(&output.stdout).result(&output)? {
        Restored::Everything
    } else {
        Restored::Nothing
    })
}
