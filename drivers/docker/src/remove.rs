use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::attach;
use crate::container::{self, Seen};
use crate::daemon::Daemon;
use crate::failure::{self, chain};
use crate::machine::Machine;

/// Takes away what the journal lists.
pub async fn remove(machine: &Machine, work: &Work<'_>) -> Result<(), DriverError> {
    let owned = work.resources.owned();
    if owned.is_empty() {
        return Ok(());
    }
    let daemon = machine.daemon(Operation::Remove).await?;
    let mut failures = Vec::new();
    // The newest first: a network cannot go before what is attached to it.
    for resource in owned.iter().rev() {
        let removed = match resource.kind.as_str() {
            container::RESOURCE => remove_container(machine, daemon, resource, work).await,
            attach::RESOURCE => leave_network(machine, daemon, work).await,
            _ => continue,
        };
        match removed {
            Ok(()) => work.resources.removed(resource)?,
            Err(error) => {
                failures.push(format!(
                    "{} {}: {}",
                    resource.kind,
                    resource.id,
                    chain(&error)
                ));
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failure::backend(
        Operation::Remove,
        format!("some things could not be removed: {}", failures.join("; ")),
    ))
}

async fn remove_container(
    machine: &Machine,
    daemon: &Daemon,
    resource: &Resource,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let failed = |error| failure::engine(Operation::Remove, "removing the container", error);
    // Noted, and not made before the work was cut off; or gone; or somebody else's by now.
    let seen = daemon.container(&resource.id).await.map_err(failed)?;
    if !seen.is_some_and(|seen: Seen| seen.is_of(&machine.context)) {
        return Ok(());
    }
    work.report.step("removing the container");
    daemon.remove_container(&resource.id).await.map_err(failed)
}

async fn leave_network(
    machine: &Machine,
    daemon: &Daemon,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let _held = machine.network_lock(work).await?;
    let removed = attach::remove_unused(daemon).await;
    removed.map_err(|e| failure::engine(Operation::Remove, "removing the network", e))
}
