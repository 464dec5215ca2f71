//! The host-only networks that macOS has in place of adapters, from VirtualBox 7 on: each with a
//! name that its maker chose, and with a DHCP server of macOS's own.

use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::answer::{self, HostOnlyNet, uses_adapter};
use crate::attachment::Attachment;
use crate::find::System;
use crate::machine::Machine;
use crate::manage::VBoxManage;
use crate::network::{Choice, Kind};
use crate::said::Trouble;
use crate::subnet::HostCidr;
use crate::{adapter, failure};

/// What a machine's stake in such a network that rmachine made is called; found again by its name.
pub const NET: &str = "net";

/// The networks that there are; `None` where VirtualBox has adapters instead.
pub async fn list(
    machine: &Machine,
    manage: &VBoxManage,
    operation: Operation,
) -> Result<Option<Vec<HostOnlyNet>>, DriverError> {
    if machine.surroundings.system != System::MacOs {
        return Ok(None);
    }
    match manage.run(["list", "hostonlynets"]).await {
        Ok(told) => Ok(Some(answer::host_only_nets(&told))),
        Err(error) if error.is(Trouble::Unknown) => Ok(None),
        Err(error) => Err(failure::manage(
            operation,
            "listing host-only networks",
            error,
        )),
    }
}

/// Makes the chosen network where it is missing. The caller holds the lock.
pub async fn ensure(
    manage: &VBoxManage,
    choice: Choice,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Attachment, DriverError> {
    let (name, cidr) = match choice {
        Choice::Adapter(net, cidr) => {
            if net.name == name(cidr) {
                take_part(work, &net.name)?;
            }
            (net.name, cidr)
        }
        Choice::Make(cidr) => {
            let name = name(cidr);
            take_part(work, &name)?;
            work.report.step("making a host-only network");
            add(manage, &name, cidr, operation).await?;
            (name, cidr)
        }
    };
    Ok(Attachment {
        network: network(&name),
        name,
        kind: Kind::Net,
        cidr,
        fresh: false,
    })
}

/// Removes a network that rmachine made, unless a VM is on it still.
pub async fn leave(
    machine: &Machine,
    manage: &VBoxManage,
    name: &str,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let _held = machine.lock(work).await?;
    let nets = list(machine, manage, Operation::Remove).await?;
    let there = nets.is_some_and(|nets| nets.iter().any(|net| net.name == name));
    if !there || uses_adapter(&adapter::vms(manage, Operation::Remove).await?, name) {
        return Ok(());
    }
    work.report.step("removing the host-only network");
    match manage.run(Kind::Net.removal(name)).await {
        Err(error) if !error.is(Trouble::NotFound) => Err(failure::manage(
            Operation::Remove,
            "removing the host-only network",
            error,
        )),
        _ => Ok(()),
    }
}

/// The name by which VirtualBox's parts know a network.
pub fn network(name: &str) -> String {
    format!("hostonly-{name}")
}

/// What rmachine calls a network that it makes.
fn name(cidr: HostCidr) -> String {
    format!("rmachine-{}", cidr.subnet.at(0))
}

fn take_part(work: &Work<'_>, name: &str) -> Result<(), DriverError> {
    work.resources.about_to_make(&Resource::new(NET, name))
}

async fn add(
    manage: &VBoxManage,
    name: &str,
    cidr: HostCidr,
    operation: Operation,
) -> Result<(), DriverError> {
    let upper = cidr.subnet.hosts().next_back().unwrap_or(cidr.address);
    let add = [
        "hostonlynet".to_owned(),
        "add".to_owned(),
        format!("--name={name}"),
        format!("--netmask={}", cidr.subnet.mask()),
        format!("--lower-ip={}", cidr.address),
        format!("--upper-ip={upper}"),
        "--enable".to_owned(),
    ];
    let added = manage.run(add).await;
    added.map_err(|e| failure::manage(operation, "making a host-only network", e))?;
    Ok(())
}
