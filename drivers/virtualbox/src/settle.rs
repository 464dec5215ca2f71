use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, MachineState, Operation, Work};
use tokio::time::sleep;

use crate::answer::{Vm, VmState};
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
    let vm = disks_done(machine, seen, operation, work).await?;
    let moves = |state: &VmState| {
        matches!(
            state.machine(),
            MachineState::Starting | MachineState::Stopping
        )
    };
    until_not(
        moves,
        machine,
        vm,
        operation,
        "the VM to come to rest",
        LIMIT,
    )
    .await
}

/// The VM, once VirtualBox is done with its disks: a snapshot that was interrupted goes on.
pub async fn disks_done(
    machine: &Machine,
    vm: Vm,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Vm, DriverError> {
    let what = "VirtualBox to be done with the VM's disks";
    if vm.state().works_on_disks() {
        work.report.step(&format!(
            "waiting for {what}, {} minutes at most",
            DISKS_LIMIT.as_secs() / 60
        ));
    }
    let busy = VmState::works_on_disks;
    until_not(busy, machine, vm, operation, what, DISKS_LIMIT).await
}

/// The VM, once its state is another than these.
async fn until_not(
    these: impl Fn(&VmState) -> bool,
    machine: &Machine,
    mut vm: Vm,
    operation: Operation,
    waiting_for: &str,
    limit: Duration,
) -> Result<Vm, DriverError> {
    let began = Instant::now();
    while these(&vm.state()) {
        if began.elapsed() >= limit {
            return Err(DriverError::Timeout {
                waiting_for: waiting_for.to_owned(),
                limit,
                last: format!("it is {}", vm.state().word()),
            });
        }
        sleep(PAUSE).await;
        vm = machine.seen(operation).await?;
    }
    Ok(vm)
}
