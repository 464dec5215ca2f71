use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, MachineState, Operation, Work};

use crate::container::STOP_SIGNAL;
use crate::daemon::Daemon;
use crate::failure;
use crate::machine::Machine;

/// How long a host may take to go down in order: its units have 20 s each, its engine's
/// containers 10 s before that.
const STOP_LIMIT: Duration = Duration::from_secs(90);

/// How long the engine may take to end processes that were killed.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// How often a container that is on its way down is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// A systemd that cannot work ends within this time of its start.
const BOOT_GRACE: Duration = Duration::from_millis(250);

/// Powers the machine on.
pub async fn start(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let failed = |error| failure::engine(operation, "starting the container", error);
    let daemon = machine.daemon(operation).await?;
    let name = machine.container();
    match machine.seen(operation).await?.state() {
        MachineState::Running => return Ok(()),
        MachineState::Paused => return daemon.unpause(&name).await.map_err(failed),
        _ => {}
    }
    work.report.step("starting the container");
    daemon.start(&name).await.map_err(failed)?;
    booting(daemon, &name, operation).await
}

/// Sees to it that a container that was just started stays up.
pub async fn booting(daemon: &Daemon, name: &str, operation: Operation) -> Result<(), DriverError> {
    tokio::time::sleep(BOOT_GRACE).await;
    let seen = daemon.container(name).await;
    let seen = seen.map_err(|e| failure::engine(operation, "looking at the container", e))?;
    let Some(seen) = seen.filter(|seen| seen.state() != MachineState::Running) else {
        return Ok(());
    };
    // The log only explains; without it the exit code still says that the boot failed.
    let log = daemon.log(name).await.unwrap_or_default();
    Err(failure::backend_with_hint(
        operation,
        format!(
            "the container ended while it booted, with exit code {}; its console:\n{}",
            seen.exit_code(),
            log.trim_end()
        ),
        "the image must hold systemd as /sbin/init, fit for the engine's cgroup version",
    ))
}

/// Shuts the machine down in order.
pub async fn stop(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let failed = |error| failure::engine(operation, "stopping the container", error);
    let daemon = machine.daemon(operation).await?;
    let name = machine.container();
    match machine.seen(operation).await?.state() {
        MachineState::Stopped => return Ok(()),
        // A frozen system cannot go down.
        MachineState::Paused => daemon.unpause(&name).await.map_err(failed)?,
        _ => {}
    }
    work.report.step("shutting the host down");
    daemon.signal(&name, STOP_SIGNAL).await.map_err(failed)?;
    down(machine, operation, STOP_LIMIT).await
}

/// Cuts the machine's power.
pub async fn kill(machine: &Machine, work: &Work<'_>) -> Result<(), DriverError> {
    let daemon = machine.daemon(Operation::Kill).await?;
    if machine.seen(Operation::Kill).await?.state() == MachineState::Stopped {
        return Ok(());
    }
    work.report.step("killing the container");
    let killed = daemon.signal(&machine.container(), "SIGKILL").await;
    killed.map_err(|e| failure::engine(Operation::Kill, "killing the container", e))?;
    down(machine, Operation::Kill, KILL_LIMIT).await
}

async fn down(machine: &Machine, operation: Operation, limit: Duration) -> Result<(), DriverError> {
    let began = Instant::now();
    loop {
        let state = machine.seen(operation).await?.state();
        if state == MachineState::Stopped {
            return Ok(());
        }
        if began.elapsed() >= limit {
            return Err(DriverError::Timeout {
                waiting_for: format!("the container {} to stop", machine.container()),
                limit,
                last: format!("it is {state}"),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
