use std::path::Path;

use nix::sys::statvfs::statvfs;
use rmachine_driver::{CheckFailure, Operation, ResourceJournal};

use crate::answer::{self, Host, Version};
use crate::asked;
use crate::config::Config;
use crate::failure::{self, chain, found};
use crate::find::System;
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::network::Kind;
use crate::register::Register;
use crate::said::Trouble;
use crate::survey::Survey;
use crate::virtualization::Kernel;

/// The oldest VirtualBox whose answers are known.
const OLDEST: Version = Version::new(5, 0, 0);

/// The first VirtualBox that nobody has tried.
const UNTRIED: Version = Version::new(7, 3, 0);

/// What a machine's disk takes at first, in megabytes, ISO image included.
const FIRST_DISK: u64 = 300;

/// Every reason found why the machine cannot be made; and what a person should know.
pub async fn failures(
    machine: &Machine,
    resources: &dyn ResourceJournal,
) -> (Vec<CheckFailure>, Vec<String>) {
    let manage = match VBoxManage::find(&machine.surroundings) {
        Ok(manage) => manage,
        Err(error) => return (vec![unusable(&error)], Vec::new()),
    };
    let (mut failures, mut warnings) = (Vec::new(), Vec::new());
    let told = match manage.run(["--version"]).await {
        Ok(told) => told,
        Err(error) => return (vec![unusable(&error)], Vec::new()),
    };
    match Version::read(&told) {
        Some(version) => {
            if version < OLDEST {
                failures.push(found(
                    "version",
                    format!("VirtualBox {version} is too old"),
                    "install VirtualBox 7",
                ));
            }
            if version >= UNTRIED {
                warnings.push(format!(
                    "VirtualBox {version} is newer than those that rmachine was tried with"
                ));
            }
            failures.extend(kernel(machine, version, &told));
        }
        None => warnings.push("VBoxManage --version names no version".to_owned()),
    }
    match manage.run(["list", "hostinfo"]).await {
        Ok(told) => failures.extend(fits(&machine.config, &answer::host(&told))),
        // Nothing else would work, either.
        Err(error) => {
            failures.push(unusable(&error));
            return (failures, warnings);
        }
    }
    failures.extend(disk(machine));
    failures.extend(iso(machine));
    failures.extend(name(machine, &manage, resources).await);
    failures.extend(networks(machine, &manage, resources).await);
    failures.extend(asked::share(machine));
    (failures, warnings)
}

fn unusable(error: &ManageError) -> CheckFailure {
    let remedy = failure::remedy(error).unwrap_or("see whether it runs: VBoxManage list vms");
    found("VBoxManage", chain(error), remedy)
}

fn kernel(machine: &Machine, version: Version, told: &str) -> Vec<CheckFailure> {
    let system = machine.surroundings.system;
    if system != System::Linux {
        let failure = architecture(system, std::env::consts::ARCH);
        return failure.into_iter().collect();
    }
    let mut kernel = Kernel::look(&machine.surroundings.root);
    kernel.vboxdrv &= !Trouble::module_is_missing(told);
    if machine.config.no_vtx_check {
        kernel.kvm = false;
    }
    kernel.failures(version)
}

/// VirtualBox runs VMs of the computer's own architecture, and boot2docker is for x86.
fn architecture(system: System, processor: &str) -> Option<CheckFailure> {
    (system == System::MacOs && processor != "x86_64").then(|| {
        found(
            "processor",
            format!("VirtualBox on {processor} runs no VMs of x86, which boot2docker needs"),
            "make the machine with another driver, such as docker",
        )
    })
}

/// What the computer cannot hold.
fn fits(config: &Config, host: &Host) -> Vec<CheckFailure> {
    let mut failures = Vec::new();
    if host.virtualization == Some(false) && !config.no_vtx_check {
        failures.push(found(
            "virtualization",
            "the processor offers neither VT-x nor AMD-V".to_owned(),
            "switch it on in the firmware, or in the hypervisor above; --virtualbox-no-vtx-check goes on without looking",
        ));
    }
    let memory = u64::from(config.memory);
    if let Some(all) = host.memory.filter(|all| memory >= *all) {
        failures.push(found(
            "memory",
            format!("{memory} MB are asked for, and this computer has {all}"),
            "give less with --virtualbox-memory",
        ));
    } else if let Some(free) = host.free_memory.filter(|free| memory > *free) {
        failures.push(found(
            "memory",
            format!("{memory} MB are asked for, and {free} are free"),
            "stop another VM, or give less with --virtualbox-memory",
        ));
    }
    let processors = u32::try_from(config.cpu).ok();
    if let Some((wanted, all)) = processors.zip(host.processors).filter(|(w, a)| w > a) {
        failures.push(found(
            "processors",
            format!("{wanted} are asked for, and this computer has {all}"),
            "give fewer with --virtualbox-cpu-count",
        ));
    }
    failures
}

fn disk(machine: &Machine) -> Option<CheckFailure> {
    let free = free_megabytes(&machine.context.machine_dir)?;
    (free < FIRST_DISK).then(|| {
        let directory = machine.context.machine_dir.display();
        found(
            "disk",
            format!(
                "{free} MB are free where {directory} is, and a machine needs {FIRST_DISK} at least"
            ),
            "free some space, or keep machines elsewhere with --storage-path",
        )
    })
}

fn iso(machine: &Machine) -> Option<CheckFailure> {
    let mut missing = machine.iso.look(machine.config.image()).err()?;
    let remedy = missing.hint.take().unwrap_or_default();
    Some(found("iso", chain(&missing), &remedy))
}

fn free_megabytes(directory: &Path) -> Option<u64> {
    let found = directory.ancestors().find(|path| path.exists())?;
    let told = statvfs(found).ok()?;
    // The types of the two differ between systems.
    #[allow(clippy::useless_conversion, reason = "32 bits on some systems")]
    let (blocks, size) = (
        u64::from(told.blocks_available()),
        u64::from(told.fragment_size()),
    );
    Some(blocks.saturating_mul(size) / (1024 * 1024))
}

/// docker-machine goes by names; two VMs of one name would be one to it.
async fn name(
    machine: &Machine,
    manage: &VBoxManage,
    resources: &dyn ResourceJournal,
) -> Option<CheckFailure> {
    let told = match manage.run(["list", "vms"]).await {
        Ok(told) => told,
        Err(error) => return Some(unusable(&error)),
    };
    let name = machine.context.name.as_str();
    let owned = resources.owned();
    let of_ours = |id: &str| {
        let known = machine.config.vm_id.as_ref().map(|id| id.as_str());
        known == Some(id) || owned.iter().any(|resource| resource.id == id)
    };
    let vms = answer::registered_vms(&told);
    let other = vms.iter().find(|vm| vm.name == name && !of_ours(&vm.id))?;
    Some(found(
        "vm",
        format!(
            "VirtualBox has a VM {name} ({}) that is not of this machine",
            other.id
        ),
        "give the machine another name, or remove that VM",
    ))
}

async fn networks(
    machine: &Machine,
    manage: &VBoxManage,
    resources: &dyn ResourceJournal,
) -> Option<CheckFailure> {
    let register = Register::read(&machine.shared());
    let survey = Survey::of(machine, manage, &register, Operation::Check).await;
    let survey = match survey {
        Ok(survey) => survey,
        Err(error) => {
            return Some(found(
                "host-only network",
                chain(&error),
                "see whether it works: VBoxManage list hostonlyifs",
            ));
        }
    };
    match survey.choose(manage).await {
        Ok(choice) if survey.kind == Kind::Adapter => {
            asked::address(machine, manage, resources, choice).await
        }
        // There, the system gives the addresses.
        Ok(_) => None,
        Err(error) => Some(found(
            "host-only network",
            error.to_string(),
            &error.remedy(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apples_own_processors_run_no_boot2docker() {
        assert!(architecture(System::MacOs, "aarch64").is_some());
        assert!(architecture(System::MacOs, "x86_64").is_none());
        assert!(architecture(System::Windows, "x86_64").is_none());
    }

    #[test]
    fn a_machine_must_fit() {
        let host = Host {
            virtualization: Some(true),
            processors: Some(2),
            memory: Some(4096),
            free_memory: Some(2048),
        };
        let subjects = |memory, cpu, no_vtx_check, host: &Host| -> Vec<String> {
            let config = Config {
                memory,
                cpu,
                no_vtx_check,
                ..Config::default()
            };
            fits(&config, host).into_iter().map(|f| f.subject).collect()
        };
        assert!(subjects(2048, 2, false, &host).is_empty());
        assert!(subjects(1024, -1, false, &host).is_empty());
        assert_eq!(subjects(2049, 3, false, &host), ["memory", "processors"]);
        assert_eq!(subjects(4096, 1, false, &host), ["memory"]);
        let none = Host {
            virtualization: Some(false),
            ..Host::default()
        };
        assert_eq!(subjects(1024, 1, false, &none), ["virtualization"]);
        assert!(subjects(1024, 1, true, &none).is_empty());
        assert!(subjects(1024, 1, false, &Host::default()).is_empty());
    }
}
