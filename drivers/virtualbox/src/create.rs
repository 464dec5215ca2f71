use rmachine_driver::{DriverError, MachineState, Operation, Resource, ResourceJournal, Work};

use crate::answer::{self, Vm};
use crate::attachment::Attachment;
use crate::build::{self, REACH, Wanted};
use crate::config::VmId;
use crate::machine::{Machine, VM, patiently};
use crate::manage::VBoxManage;
use crate::said::Trouble;
use crate::{attach, failure, lease, media, port, start};

/// VirtualBox's name for the system that a machine runs.
const SYSTEM: &str = "Linux26_64";

/// Makes the machine's VM and starts it, or goes on with one that an earlier call left.
pub async fn create(machine: &mut Machine, work: &Work<'_>) -> Result<(), DriverError> {
    let manage = machine.manage(Operation::Create)?;
    let noted = noted(work.resources);
    let known = machine.config.vm_id.is_some() || noted.is_some();
    if machine.config.vm_id.is_none() {
        machine.config.vm_id = Some(noted.unwrap_or_else(VmId::new));
    }
    let left = match known {
        true => machine.look(Operation::Create).await?,
        false => None,
    };
    let running = left
        .as_ref()
        .is_some_and(|vm| vm.state().machine() == MachineState::Running);
    if !running {
        media::ensure(machine, &manage, work).await?;
    }
    let made = make(machine, &manage, left, work).await?;
    let state = made.as_ref().map(|vm| vm.state().machine());
    match state {
        None | Some(MachineState::Stopped) => {
            start::launch(machine, &manage, made.as_ref(), Operation::Create, work).await
        }
        Some(_) => start::start(machine, Operation::Create, work).await,
    }
}

/// The identity of a VM that an earlier call made, or was about to make.
fn noted(resources: &dyn ResourceJournal) -> Option<VmId> {
    let owned = resources.owned();
    let vm = owned.iter().find(|resource| resource.kind == VM)?;
    vm.id.parse().ok()
}

/// Makes the VM and all that it is attached to, and fills in what was chosen.
async fn make(
    machine: &mut Machine,
    manage: &VBoxManage,
    left: Option<Vm>,
    work: &Work<'_>,
) -> Result<Option<Vm>, DriverError> {
    let _held = machine.lock(work).await?;
    let attachment = attach::ensure(machine, Operation::Create, work).await?;
    if left.is_none() {
        work.resources
            .about_to_make(&Resource::new(VM, machine.reference()))?;
        work.report.step("making the VM");
        register(machine, manage).await?;
    }
    let seen = left.clone().unwrap_or_default();
    let card = match seen.host_only(2) {
        Some(_) => seen.card(2).unwrap_or_else(build::new_card),
        None => build::new_card(),
    };
    machine.config.ssh_port = match build::ssh_rule(&seen) {
        Some(port) => port,
        None => port::free()?,
    };
    if left
        .as_ref()
        .is_none_or(|vm| vm.state().machine() == MachineState::Stopped)
    {
        set_up(machine, manage, &attachment, &card, &seen).await?;
    }
    let address = lease::ensure(machine, &attachment, &card, Operation::Create, work).await?;
    machine.config.address_kept = address.is_some();
    machine.config.ip_address = address;
    machine.config.host_only_cidr = Some(attachment.cidr);
    Ok(left)
}

async fn register(machine: &Machine, manage: &VBoxManage) -> Result<(), DriverError> {
    // What an earlier call began and VirtualBox does not know: without its settings, nothing.
    let settings = machine.settings_dir();
    match std::fs::remove_dir_all(&settings) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failure::file(&settings, error));
        }
        _ => {}
    }
    let (name, id) = (machine.context.name.as_str(), machine.reference());
    let make = [
        "createvm".as_ref(),
        "--basefolder".as_ref(),
        machine.context.machine_dir.as_os_str(),
        "--name".as_ref(),
        name.as_ref(),
        "--uuid".as_ref(),
        id.as_ref(),
        "--ostype".as_ref(),
        SYSTEM.as_ref(),
        "--register".as_ref(),
    ];
    let made = manage.run(make).await;
    made.map_err(|error| failure::manage(Operation::Create, "making the VM", error))?;
    Ok(())
}

async fn set_up(
    machine: &Machine,
    manage: &VBoxManage,
    attachment: &Attachment,
    card: &str,
    seen: &Vm,
) -> Result<(), DriverError> {
    let failed = |error| failure::manage(Operation::Create, "setting up the VM", error);
    let wanted = Wanted {
        reference: machine.reference(),
        config: &machine.config,
        processors: processors(machine, manage).await?,
        iso: machine.iso_file(),
        disk: machine.disk_file(),
        attachment,
        card,
        ssh_port: machine.config.ssh_port,
        share: machine.share(),
    };
    for step in build::steps(&wanted, seen) {
        match patiently(|| manage.run(&step)).await {
            // Before 7.0 the machine reaches this computer's loopback without asking.
            Err(error) if error.is(Trouble::Unknown) && step.iter().any(|word| word == REACH) => {
                let rest = build::without(&step, REACH);
                patiently(|| manage.run(&rest)).await.map_err(failed)?;
            }
            result => drop(result.map_err(failed)?),
        }
    }
    Ok(())
}

/// How many processors the VM gets.
async fn processors(machine: &Machine, manage: &VBoxManage) -> Result<u32, DriverError> {
    if let Ok(number) = u32::try_from(machine.config.cpu) {
        return Ok(number.max(1));
    }
    let told = manage.run(["list", "hostinfo"]).await;
    let told = told.map_err(|e| failure::manage(Operation::Create, "asking for processors", e))?;
    let all = answer::host(&told).processors.unwrap_or(1);
    Ok(all.clamp(1, crate::config::MOST_PROCESSORS))
}
