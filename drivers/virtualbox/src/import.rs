use std::fs;
use std::path::Path;

use rmachine_driver::{DriverError, MachineState, Operation, Resource, Work};

use crate::answer::{self, Vm};
use crate::build::CONTROLLER;
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::said::Trouble;
use crate::{failure, keys};

/// What the copy of a disk is called among a machine's resources; found again by its path.
pub const DISK: &str = "disk";

/// Where Boot2Docker left the key of its VM, in the home directory.
const KEY: &str = ".ssh/id_boot2docker";

/// What the name of the file beside the disk ends with while the disk is being copied.
const COPYING: &str = "copying";

/// Copies the disk, the key and the size of a Boot2Docker VM, which stays as it is.
pub async fn copy(
    machine: &mut Machine,
    manage: &VBoxManage,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let name = machine.config.boot2docker_import_vm.clone();
    let vm = look(manage, &name).await?;
    if let Some(number) = vm.field("cpus").and_then(|n| n.parse().ok()) {
        machine.config.cpu = number;
    }
    if let Some(number) = vm.field("memory").and_then(|n| n.parse().ok()) {
        machine.config.memory = number;
    }
    let Some(home) = &machine.surroundings.home else {
        return Err(failure::backend(
            Operation::Create,
            format!("there is no home directory in which {KEY} could be"),
        ));
    };
    keys::take_over(&home.join(KEY), &machine.config.ssh_key_path)?;
    let (disk, copying) = (
        machine.disk_file(),
        machine.disk_file().with_extension(COPYING),
    );
    if disk.exists() && !copying.exists() {
        return Ok(());
    }
    let Some(source) = vm.medium(CONTROLLER, 1) else {
        return Err(failure::backend(
            Operation::Create,
            format!("the VM {name} has no disk at port 1 of its controller {CONTROLLER}"),
        ));
    };
    work.report.step(
        "copying the disk of the Boot2Docker VM: as long as its gigabytes take, an hour at most",
    );
    clear(manage, &disk, &copying).await?;
    work.resources
        .about_to_make(&Resource::new(DISK, disk.display().to_string()))?;
    let clone = [
        "clonemedium".as_ref(),
        "disk".as_ref(),
        source.as_ref(),
        disk.as_os_str(),
    ];
    let cloned = manage.run_very_slow(clone).await;
    cloned.map_err(|error| failure::manage(Operation::Create, "copying the disk", error))?;
    fs::remove_file(&copying).map_err(|source| failure::file(&copying, source))
}

/// Takes away what a copy that was cut off left, and marks that one is being made.
async fn clear(manage: &VBoxManage, disk: &Path, copying: &Path) -> Result<(), DriverError> {
    match forget(manage, disk).await {
        // VirtualBox goes on with a copy that nobody waits for any more.
        Err(error) if error.is(Trouble::Locked) => {
            return Err(failure::backend_with_hint(
                Operation::Create,
                format!(
                    "VirtualBox is still at work on {}, a copy that was begun before",
                    disk.display()
                ),
                "run the command again when it is done",
            ));
        }
        // Half of a disk may be none to VirtualBox.
        Err(error) => tracing::debug!(%error, "the disk was not closed"),
        Ok(()) => {}
    }
    if disk.exists() {
        fs::remove_file(disk).map_err(|source| failure::file(disk, source))?;
    }
    fs::write(copying, "").map_err(|source| failure::file(copying, source))
}

/// Has VirtualBox forget a disk, which it knows or not; one whose file is gone, too.
pub async fn forget(manage: &VBoxManage, disk: &Path) -> Result<(), ManageError> {
    let close = ["closemedium".as_ref(), "disk".as_ref(), disk.as_os_str()];
    match manage.run(close).await {
        Ok(_) => Ok(()),
        Err(error) if error.is(Trouble::FileMissing) || error.is(Trouble::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The VM that is copied.
async fn look(manage: &VBoxManage, name: &str) -> Result<Vm, DriverError> {
    let told = manage.run(["showvminfo", name, "--machinereadable"]).await;
    let doing = format!("looking at the VM {name}");
    let vm = answer::vm(&told.map_err(|e| failure::manage(Operation::Create, &doing, e))?);
    if vm.state().machine() == MachineState::Stopped {
        return Ok(vm);
    }
    Err(failure::backend_with_hint(
        Operation::Create,
        format!(
            "the VM {name} is {}, and its disk can be copied only while it is off",
            vm.state().word()
        ),
        &format!("shut it down: VBoxManage controlvm {name} acpipowerbutton"),
    ))
}
