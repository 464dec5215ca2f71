use std::path::Path;

use rmachine_driver::{DriverError, MachineState, Operation, Resource, Work};

use crate::answer;
use crate::machine::{Machine, VM, patiently};
use crate::manage::VBoxManage;
use crate::said::Trouble;
use crate::{adapter, failure, import, lease, net, stop};

/// Takes away what the journal lists; of a machine that docker-machine made, its VM.
pub async fn remove(machine: &mut Machine, work: &Work<'_>) -> Result<(), DriverError> {
    let mut owned = work.resources.owned();
    if let Some(vm) = owned.iter().find(|resource| resource.kind == VM) {
        // A `create` that was cut off left no other trace of it.
        machine.config.vm_id = vm.id.parse().ok();
    }
    let machine = &*machine;
    if owned.is_empty() {
        if machine.record.is_empty() || machine.config.vm_id.is_some() {
            return Ok(());
        }
        // Its files lie in the machine's own directory, which goes now.
        owned.push(Resource::new(VM, machine.reference()));
    }
    let manage = machine.manage(Operation::Remove)?;
    let mut failures = Vec::new();
    // The VM first: what is attached to it cannot go before it.
    owned.sort_by_key(|resource| match resource.kind.as_str() {
        VM => 0,
        lease::ADDRESS => 1,
        _ => 2,
    });
    for resource in &owned {
        let removed = match resource.kind.as_str() {
            VM => remove_vm(machine, &manage, &resource.id, work).await,
            lease::ADDRESS => release(machine, &manage, &resource.id, work).await,
            adapter::NETWORK => adapter::leave(machine, &manage, &resource.id, work).await,
            net::NET => net::leave(machine, &manage, &resource.id, work).await,
            import::DISK => close(&manage, &resource.id).await,
            _ => continue,
        };
        match removed {
            Ok(()) => work.resources.removed(resource)?,
            Err(error) => {
                let (kind, id) = (&resource.kind, &resource.id);
                failures.push((format!("{kind} {id}: {}", failure::chain(&error)), error));
            }
        }
    }
    match failures.len() {
        0 => Ok(()),
        // Alone, it keeps its own hint.
        1 => Err(failures.remove(0).1),
        _ => {
            let texts: Vec<String> = failures.into_iter().map(|(text, _)| text).collect();
            Err(failure::backend(
                Operation::Remove,
                format!("some things could not be removed: {}", texts.join("; ")),
            ))
        }
    }
}

async fn remove_vm(
    machine: &Machine,
    manage: &VBoxManage,
    id: &str,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let failed = |error| failure::manage(Operation::Remove, "removing the VM", error);
    let told = patiently(|| manage.run(["showvminfo", id, "--machinereadable"])).await;
    let told = match told {
        Ok(told) => told,
        // Noted, and not made before the work was cut off; or gone by now.
        Err(error) if error.is(Trouble::NotFound) => return Ok(()),
        Err(error) if error.is(Trouble::Inaccessible) => {
            return manage
                .run(["unregistervm", id])
                .await
                .map(drop)
                .map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    };
    let vm = answer::vm(&told);
    if !is_in(vm.settings().as_deref(), &machine.context.machine_dir) {
        return Err(failure::backend_with_hint(
            Operation::Remove,
            format!(
                "VirtualBox has the VM {id} with its files outside of the machine's directory: it is not this machine's"
            ),
            "remove the VM in VirtualBox, if it is to go",
        ));
    }
    if vm.state().machine() != MachineState::Stopped {
        stop::cut(machine, vm, Operation::Remove, work).await?;
    }
    work.report.step("removing the VM");
    let _held = machine.lock(work).await?;
    match patiently(|| manage.run_slow(["unregistervm", id, "--delete"])).await {
        Ok(_) => Ok(()),
        Err(error) if error.is(Trouble::NotFound) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Has VirtualBox forget a disk that no VM has; its file is in the machine's own directory.
async fn close(manage: &VBoxManage, disk: &str) -> Result<(), DriverError> {
    let closed = import::forget(manage, Path::new(disk)).await;
    closed.map_err(|error| failure::manage(Operation::Remove, "closing the disk", error))
}

/// Whether a VM's settings lie in the machine's directory, by whichever way they are named.
fn is_in(settings: Option<&Path>, directory: &Path) -> bool {
    let Some(settings) = settings else {
        return false;
    };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    settings.starts_with(directory) || real(settings).starts_with(real(directory))
}

async fn release(
    machine: &Machine,
    manage: &VBoxManage,
    id: &str,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let _held = machine.lock(work).await?;
    let released = lease::release(manage, id).await;
    released.map_err(|e| failure::manage(Operation::Remove, "giving the address back", e))
}
