use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, MachineState, Operation, Work};
use tokio::time::sleep;

use crate::answer::Vm;
use crate::failure;
use crate::machine::Machine;
use crate::manage::ManageError;
use crate::said::Trouble;
use crate::settle::{self, disks_done, settled};
use crate::start::start;

/// How long an orderly shutdown may take.
const LIMIT: Duration = Duration::from_secs(180);

/// How often a VM that goes down is looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the power button is pressed: a system that is still booting does not hear it.
const BUTTON: Duration = Duration::from_secs(10);

/// Shuts the machine down in order.
pub async fn stop(
    machine: &mut Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let mut vm = settled(machine, operation, work).await?;
    match vm.state().machine() {
        MachineState::Stopped => return Ok(()),
        // A system that stands still cannot go down.
        MachineState::Paused | MachineState::Saved => {
            start(machine, operation, work).await?;
            vm = machine.seen(operation).await?;
        }
        _ => {}
    }
    work.report.step("shutting the machine down");
    let manage = machine.manage(operation)?;
    let began = Instant::now();
    let mut pressed: Option<Instant> = None;
    loop {
        let state = vm.state();
        if state.machine() == MachineState::Stopped {
            return Ok(());
        }
        if began.elapsed() >= LIMIT {
            return Err(DriverError::Timeout {
                waiting_for: format!(
                    "{0} to shut down (`rmachine kill {0}` cuts its power)",
                    machine.context.name
                ),
                limit: LIMIT,
                last: format!("the VM is {}", state.word()),
            });
        }
        if pressed.is_none_or(|at| at.elapsed() >= BUTTON) {
            let press = ["controlvm", machine.reference(), "acpipowerbutton"];
            match manage.run(press).await {
                Ok(_) => pressed = Some(Instant::now()),
                Err(error) if is_going(&error) => {}
                Err(error) => {
                    return Err(failure::manage(
                        operation,
                        "pressing the power button",
                        error,
                    ));
                }
            }
        }
        sleep(PAUSE).await;
        vm = machine.seen(operation).await?;
    }
}

/// Cuts the machine's power.
pub async fn kill(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let vm = machine.seen(operation).await?;
    cut(machine, vm, operation, work).await
}

/// Cuts the power of a VM that was as this one when it was looked at last.
pub async fn cut(
    machine: &Machine,
    vm: Vm,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let manage = machine.manage(operation)?;
    let mut vm = disks_done(machine, vm, operation, work).await?;
    let began = Instant::now();
    let mut told = false;
    loop {
        let state = vm.state();
        let cut = match state.machine() {
            MachineState::Stopped => return Ok(()),
            MachineState::Saved => manage.run(["discardstate", machine.reference()]).await,
            _ => {
                manage
                    .run_slow(["controlvm", machine.reference(), "poweroff"])
                    .await
            }
        };
        if !told {
            work.report.step("cutting the VM's power");
            told = true;
        }
        match cut {
            Ok(_) => {}
            Err(error) if is_going(&error) => {}
            Err(error) => return Err(failure::manage(operation, "cutting the VM's power", error)),
        }
        if began.elapsed() >= settle::LIMIT {
            return Err(DriverError::Timeout {
                waiting_for: "the VM to be off".to_owned(),
                limit: settle::LIMIT,
                last: format!("it is {}", state.word()),
            });
        }
        sleep(PAUSE / 5).await;
        vm = machine.seen(operation).await?;
    }
}

/// Whether a command came while the VM was going down by itself.
fn is_going(error: &ManageError) -> bool {
    let passing = [
        Trouble::NotRunning,
        Trouble::NotReady,
        Trouble::WrongState,
        Trouble::Locked,
    ];
    error
        .trouble()
        .is_some_and(|trouble| passing.contains(&trouble))
}
