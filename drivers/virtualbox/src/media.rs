use rmachine_driver::{DriverError, Operation, Work};

use crate::machine::Machine;
use crate::manage::VBoxManage;
use crate::{disk, failure, import, keys};

/// The machine's own files: its ISO image, its key and its disk.
pub async fn ensure(
    machine: &mut Machine,
    manage: &VBoxManage,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    image(machine, Operation::Create, work).await?;
    if !machine.config.boot2docker_import_vm.is_empty() {
        return import::copy(machine, manage, work).await;
    }
    let authorized = keys::authorized(&machine.config.ssh_key_path, &machine.context.name)?;
    let path = machine.disk_file();
    let share = machine.share().map(|share| share.name);
    let size = machine.config.disk_size;
    let made = disk::ensure(&path, size, &authorized, share.as_deref());
    made.map_err(|source| failure::file(&path, source))
}

/// Gives the machine the ISO image that was chosen for it.
pub async fn image(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let iso = machine
        .iso
        .obtain(machine.config.image(), work.report)
        .await;
    let iso = iso.map_err(|error| failure::iso(operation, error))?;
    keys::link(&iso, &machine.iso_file())
}
