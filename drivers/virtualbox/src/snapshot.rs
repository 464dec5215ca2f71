//! Snapshots: VirtualBox keeps disk, settings and, of a running machine, its memory.

use rmachine_driver::{DriverError, MachineState, Operation, SnapshotName, Work};

use crate::answer::{self, VmSnapshot};
use crate::machine::{Machine, patiently};
use crate::said::Trouble;
use crate::settle::settled;
use crate::{failure, start, stop};

const OPERATION: Operation = Operation::Snapshot;

/// The machine's snapshots, the oldest first.
pub async fn list(machine: &Machine) -> Result<Vec<VmSnapshot>, DriverError> {
    let manage = machine.manage(OPERATION)?;
    let asked = ["snapshot", machine.reference(), "list", "--machinereadable"];
    match patiently(|| manage.run(asked)).await {
        Ok(told) => Ok(answer::snapshots(&told)),
        Err(error) if error.is(Trouble::NoSnapshots) => Ok(Vec::new()),
        Err(error) if error.is(Trouble::NotFound) => Err(machine.gone()),
        Err(error) => Err(failure::manage(OPERATION, "listing the snapshots", error)),
    }
}

/// Takes one. A running machine stands still while its memory is written.
pub async fn take(
    machine: &Machine,
    name: &SnapshotName,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    settled(machine, OPERATION, work).await?;
    // VirtualBox would take a second one of the same name.
    if find(&list(machine).await?, name.as_str()).is_some() {
        return Err(failure::backend_with_hint(
            OPERATION,
            format!("{} has a snapshot {name} already", machine.context.name),
            &format!(
                "take it under another name, or remove it: rmachine snapshot rm {} {name}",
                machine.context.name
            ),
        ));
    }
    work.report.step(&format!("taking the snapshot {name}"));
    let manage = machine.manage(OPERATION)?;
    let take = ["snapshot", machine.reference(), "take", name.as_str()];
    patiently(|| manage.run_slow(take))
        .await
        .map(drop)
        .map_err(|error| failure::manage(OPERATION, "taking the snapshot", error))
}

/// Puts the machine back to one.
pub async fn restore(
    machine: &mut Machine,
    name: &str,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let vm = settled(machine, OPERATION, work).await?;
    let Some(snapshot) = find(&list(machine).await?, name) else {
        return Err(failure::backend_with_hint(
            OPERATION,
            format!("{} has no snapshot {name}", machine.context.name),
            &format!("rmachine snapshot ls {}", machine.context.name),
        ));
    };
    let ran = matches!(
        vm.state().machine(),
        MachineState::Running | MachineState::Paused
    );
    if ran {
        // What it is doing is lost anyway.
        stop::cut(machine, vm, OPERATION, work).await?;
    }
    work.report.step(&format!("restoring the snapshot {name}"));
    let manage = machine.manage(OPERATION)?;
    let restore = ["snapshot", machine.reference(), "restore", &snapshot.id];
    let restored = patiently(|| manage.run_slow(restore)).await;
    restored.map_err(|error| failure::manage(OPERATION, "restoring the snapshot", error))?;
    let after = machine.seen(OPERATION).await?.state().machine();
    if ran || after == MachineState::Saved {
        start::start(machine, OPERATION, work).await?;
    }
    Ok(())
}

/// Removes one: what it kept becomes part of those that came after it.
pub async fn remove(machine: &Machine, name: &str, work: &Work<'_>) -> Result<(), DriverError> {
    // One that is being taken is not in the list yet.
    settled(machine, OPERATION, work).await?;
    let Some(snapshot) = find(&list(machine).await?, name) else {
        return Ok(());
    };
    work.report.step(&format!("removing the snapshot {name}"));
    let manage = machine.manage(OPERATION)?;
    let delete = ["snapshot", machine.reference(), "delete", &snapshot.id];
    match patiently(|| manage.run_very_slow(delete)).await {
        Ok(_) => Ok(()),
        Err(error) if error.is(Trouble::NotFound) => Ok(()),
        Err(error) => Err(failure::manage(OPERATION, "removing the snapshot", error)),
    }
}

/// The snapshot of this name; of several, the youngest.
fn find(snapshots: &[VmSnapshot], name: &str) -> Option<VmSnapshot> {
    let same = |snapshot: &&VmSnapshot| snapshot.name == name;
    snapshots.iter().rev().find(same).cloned()
}
