use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, MachineState, Operation, Work};
use tokio::time::sleep;

use crate::answer::Vm;
use crate::machine::Machine;

/// How long a VM that changes its state by itself may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How long VirtualBox may go on with a snapshot that nobody waits for any more.
const DISKS_LIMIT: Duration = Duration::from_secs(15 * 60);

const PAUSE: Duration = Duration::from_millis(500);

/// The VM, once it is in a state that does not change by itself.
pub async fn settled(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Vm, DriverError> {
    let seen = machine.seen(operation).await?;
    let mut vm = disks_done(machine, seen, operation, work).await?;
    let began = Instant::now();
    loop {
        let state = vm.state();
        match state.machine() {
            MachineState::Starting | MachineState::Stopping => {}
            _ => return Ok(vm),
        }
        if began.elapsed() >= LIMIT {
            return Err(DriverError::Timeout {
                waiting_for: "the VM to come to rest".to_owned(),
                limit: LIMIT,
                last: format!("it is {}", state.word()),
            });
        }
        sleep(PAUSE).await;
        vm = machine.seen(operation).await?;
    }
}

/// The VM, once VirtualBox is done with its disks: a snapshot that was interrupted goes on.
pub async fn disks_done(
    machine: &Machine,
    mut vm: Vm,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Vm, DriverError> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let state = vm.state();
        if !state.works_on_disks() {
            return Ok(vm);
        }
        if !told {
            work.report.step(&format!(
                "waiting for VirtualBox to be done with the VM's disks, {} minutes at most",
                DISKS_LIMIT.as_secs() / 60
            ));
            told = true;
        }
        if began.elapsed() >= DISKS_LIMIT {
            return Err(DriverError::Timeout {
                waiting_for: "VirtualBox to be done with the VM's disks".to_owned(),
                limit: DISKS_LIMIT,
                last: format!("it is {}", state.word()),
            });
        }
        sleep(PAUSE).await;
        vm = machine.seen(operation).await?;
    }
}
