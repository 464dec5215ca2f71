//! The host-only adapters: interfaces of this computer, to which VirtualBox gives their names.

use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::answer::{self, HostOnlyAdapter, uses_adapter};
use crate::attachment::Attachment;
use crate::failure;
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::network::{Choice, Kind, is_on};
use crate::register::Register;
use crate::said::Trouble;
use crate::subnet::HostCidr;

/// What a machine's stake in an adapter that rmachine made is called; found again by this
/// computer's address on it.
pub const NETWORK: &str = "network";

/// The adapters that there are.
#[derive(Debug, Default)]
pub struct Adapters {
    /// Those that are set up.
    pub whole: Vec<HostOnlyAdapter>,
    /// The one that somebody began to make and did not set up.
    pub half: Option<String>,
}

impl Adapters {
    /// Looks which there are.
    pub async fn of(
        manage: &VBoxManage,
        register: &Register,
        operation: Operation,
    ) -> Result<Self, DriverError> {
        let mut whole = list(manage, operation).await?;
        let half = half_made(manage, register, &whole, operation).await?;
        whole.retain(|adapter| Some(&adapter.name) != half.as_ref());
        Ok(Self { whole, half })
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let whole = self.whole.iter().map(|adapter| adapter.name.as_str());
        whole.chain(self.half.as_deref())
    }
}

/// Makes the chosen adapter where it is missing. The caller holds the lock.
pub async fn ensure(
    manage: &VBoxManage,
    register: &mut Register,
    there: Adapters,
    choice: Choice,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Attachment, DriverError> {
    let cidr = match choice {
        Choice::Make(cidr) => cidr,
        Choice::Adapter(adapter, cidr) => {
            if register.has(&adapter.name, cidr) {
                take_part(work, cidr)?;
            }
            if let Some(half) = &there.half {
                let removed = remove(manage, half).await;
                removed.map_err(|e| failure::manage(operation, "removing an adapter", e))?;
            }
            register.not_made()?;
            if !adapter.up {
                // VirtualBox brings it up with the first VM, too; so this may fail.
                let _ = set_address(manage, &adapter.name, cidr).await;
            }
            return Ok(Attachment {
                name: adapter.name,
                kind: Kind::Adapter,
                network: adapter.network,
                cidr,
                fresh: false,
            });
        }
    };
    take_part(work, cidr)?;
    work.report.step("making a host-only network");
    let name = make(manage, register, cidr, there, operation).await?;
    if let Err(error) = set_address(manage, &name, cidr).await {
        // One that stays is found again.
        if remove(manage, &name).await.is_ok() {
            register.not_made()?;
        }
        let doing = format!("giving {name} the address {cidr}");
        return Err(failure::manage(operation, &doing, error));
    }
    register.made(&name, cidr)?;
    Ok(Attachment {
        network: format!("HostInterfaceNetworking-{name}"),
        name,
        kind: Kind::Adapter,
        cidr,
        fresh: true,
    })
}

/// Removes the adapters of this address that rmachine made, unless a VM is on them still.
pub async fn leave(
    machine: &Machine,
    manage: &VBoxManage,
    cidr: &str,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let failed =
        |error| failure::manage(Operation::Remove, "removing the host-only adapter", error);
    let _held = machine.lock(work).await?;
    let mut register = Register::read(&machine.shared());
    let there = Adapters::of(manage, &register, Operation::Remove).await?;
    if let Some(half) = &there.half {
        remove(manage, half).await.map_err(failed)?;
        register.not_made()?;
    }
    let ours: Vec<String> = register.at(cidr).map(str::to_owned).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let vms = vms(manage, Operation::Remove).await?;
    for name in ours {
        // Another one may have its name by now.
        let there = there.whole.iter().find(|adapter| adapter.name == name);
        let at = cidr.parse().ok();
        if there.zip(at).is_some_and(|(there, at)| is_on(there, at)) {
            if uses_adapter(&vms, &name) {
                continue;
            }
            work.report.step("removing the host-only network");
            remove(manage, &name).await.map_err(failed)?;
        }
        register.gone(&name)?;
    }
    Ok(())
}

async fn list(
    manage: &VBoxManage,
    operation: Operation,
) -> Result<Vec<HostOnlyAdapter>, DriverError> {
    let told = manage.run(["list", "hostonlyifs"]).await;
    let told = told.map_err(|e| failure::manage(operation, "listing host-only adapters", e))?;
    Ok(answer::host_only_adapters(&told))
}

/// The VMs that there are, with what they are attached to.
pub async fn vms(manage: &VBoxManage, operation: Operation) -> Result<String, DriverError> {
    let told = manage.run_slow(["list", "vms", "--long"]).await;
    told.map_err(|e| failure::manage(operation, "listing VMs", e))
}

/// The adapter that somebody began to make and did not set up, if there is one. One with a VM on
/// it is another program's: VirtualBox would remove it all the same.
async fn half_made(
    manage: &VBoxManage,
    register: &Register,
    adapters: &[HostOnlyAdapter],
    operation: Operation,
) -> Result<Option<String>, DriverError> {
    let mut half = register.half_made(adapters).peekable();
    if half.peek().is_none() {
        return Ok(None);
    }
    let vms = vms(manage, operation).await?;
    let half = half.find(|adapter| !uses_adapter(&vms, &adapter.name));
    Ok(half.map(|adapter| adapter.name.clone()))
}

/// Removes an adapter, and the DHCP server that VirtualBox may have made with it.
async fn remove(manage: &VBoxManage, name: &str) -> Result<(), ManageError> {
    let server = format!("HostInterfaceNetworking-{name}");
    let server = ["dhcpserver", "remove", "--netname", &server];
    for command in [&server[..], &["hostonlyif", "remove", name]] {
        match manage.run(command).await {
            Err(error) if !error.is(Trouble::NotFound) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn take_part(work: &Work<'_>, cidr: HostCidr) -> Result<(), DriverError> {
    let stake = Resource::new(NETWORK, cidr.to_string());
    work.resources.about_to_make(&stake)
}

/// Makes an adapter, or goes on with one that somebody else began to make.
async fn make(
    manage: &VBoxManage,
    register: &mut Register,
    cidr: HostCidr,
    there: Adapters,
    operation: Operation,
) -> Result<String, DriverError> {
    let failed = |error| failure::manage(operation, "making a host-only adapter", error);
    let besides: Vec<String> = there.whole.into_iter().map(|it| it.name).collect();
    register.making(cidr, besides.clone())?;
    if let Some(half) = there.half {
        return Ok(half);
    }
    let told = match manage.run(["hostonlyif", "create"]).await {
        Ok(told) => told,
        Err(error) => {
            register.not_made()?;
            return Err(failed(error));
        }
    };
    if let Some(name) = answer::made_adapter(&told) {
        return Ok(name);
    }
    // The words are another version's or language's: what is there now is it.
    let told = manage.run(["list", "hostonlyifs"]).await.map_err(failed)?;
    let now = answer::host_only_adapters(&told).into_iter();
    let mut new = now.map(|it| it.name).filter(|name| !besides.contains(name));
    new.next().ok_or_else(|| {
        let message = "VirtualBox made a host-only adapter that it does not list";
        failure::backend(Operation::Create, message.to_owned())
    })
}

async fn set_address(
    manage: &VBoxManage,
    adapter: &str,
    cidr: HostCidr,
) -> Result<String, ManageError> {
    let (address, mask) = (cidr.address.to_string(), cidr.subnet.mask().to_string());
    let set = [
        "hostonlyif",
        "ipconfig",
        adapter,
        "--ip",
        &address,
        "--netmask",
        &mask,
    ];
    manage.run(set).await
}
