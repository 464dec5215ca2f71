use std::net::Ipv4Addr;

use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::allowed::{self, Allowed};
use crate::answer::{self, HostOnlyAdapter, uses_adapter};
use crate::find::System;
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::network::{self, Choice, Present};
use crate::register::Register;
use crate::said::Trouble;
use crate::subnet::HostCidr;
use crate::{failure, host_networks};

/// What a machine's stake in a host-only network that rmachine made is called; found again by this
/// computer's address on it.
pub const NETWORK: &str = "network";

/// A host-only network that a VM can be attached to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    /// The name of the adapter, or of the network on macOS.
    pub name: String,
    /// Which of the two it is.
    pub kind: Kind,
    /// The name by which its DHCP server goes.
    pub network: String,
    /// This computer's address on it.
    pub cidr: HostCidr,
    /// Whether it was made just now, so that nothing is running on it.
    pub fresh: bool,
}

/// What VirtualBox has to attach VMs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An interface of this computer.
    Adapter,
    /// A network of macOS's own, with its own DHCP server.
    Net,
}

impl Attachment {
    /// The options of `modifyvm` that attach the VM's second card.
    pub fn options(&self) -> [&str; 4] {
        match self.kind {
            Kind::Adapter => ["--nic2", "hostonly", "--hostonlyadapter2", &self.name],
            Kind::Net => ["--nic2", "hostonlynet", "--host-only-net2", &self.name],
        }
    }
}

/// The host-only network of the machine, made where it is missing. The caller holds the lock.
pub async fn ensure(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Attachment, DriverError> {
    let manage = machine.manage(operation)?;
    if let Some(attachment) = net_of_macos(machine, &manage, operation, work).await? {
        return Ok(attachment);
    }
    let mut register = Register::read(&machine.shared());
    let adapters = list(&manage, operation).await?;
    let names = || adapters.iter().map(|adapter| adapter.name.as_str());
    let half = half_made(&manage, &register, &adapters, operation).await?;
    let whole: Vec<_> = adapters
        .iter()
        .filter(|adapter| Some(&adapter.name) != half.as_ref())
        .cloned()
        .collect();
    let except: Vec<&str> = names().collect();
    let present = Present {
        adapters: &whole,
        elsewhere: &host_networks::besides(&machine.surroundings.root, &except),
        allowed: &allowed(machine),
    };
    let choice = network::choose(machine.config.host_only_cidr, &present);
    match choice.map_err(|error| failure::network(operation, error))? {
        Choice::Adapter(adapter, cidr) => {
            if register.has(&adapter.name, cidr) {
                take_part(work, cidr)?;
            }
            if let Some(half) = &half {
                let removed = remove_adapter(&manage, half).await;
                removed.map_err(|e| failure::manage(operation, "removing an adapter", e))?;
            }
            register.not_made()?;
            if !adapter.up {
                // VirtualBox brings it up with the first VM, too; so this may fail.
                let _ = set_address(&manage, &adapter.name, cidr).await;
            }
            Ok(Attachment {
                name: adapter.name,
                kind: Kind::Adapter,
                network: adapter.network,
                cidr,
                fresh: false,
            })
        }
        Choice::Make(cidr) => {
            take_part(work, cidr)?;
            work.report.step("making a host-only network");
            let name = make(
                &manage,
                &mut register,
                cidr,
                half,
                names().map(str::to_owned).collect(),
            );
            let name = name.await.map_err(|error| match error {
                Unmade::Manage(error) => {
                    failure::manage(operation, "making a host-only adapter", error)
                }
                Unmade::Other(error) => error,
            })?;
            if let Err(error) = set_address(&manage, &name, cidr).await {
                let _ = remove_adapter(&manage, &name).await;
                register.not_made()?;
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
    }
}

/// What VirtualBox allows on this computer.
pub fn allowed(machine: &Machine) -> Allowed {
    if machine.surroundings.system == System::Windows {
        return Allowed::Any;
    }
    let file = allowed::FILE.trim_start_matches('/');
    match std::fs::read_to_string(machine.surroundings.root.join(file)) {
        Ok(text) => Allowed::read(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Allowed::without_file(),
        // VirtualBox's server may read what we may not.
        Err(_) => Allowed::Any,
    }
}

/// The adapters that there are.
pub async fn list(
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
pub async fn half_made(
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
pub async fn remove_adapter(manage: &VBoxManage, name: &str) -> Result<(), ManageError> {
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

enum Unmade {
    Manage(ManageError),
    Other(DriverError),
}

/// Makes an adapter, or goes on with one that somebody else began to make.
async fn make(
    manage: &VBoxManage,
    register: &mut Register,
    cidr: HostCidr,
    half: Option<String>,
    besides: Vec<String>,
) -> Result<String, Unmade> {
    if let Some(half) = half {
        return Ok(half);
    }
    let noted = register.making(cidr, besides.clone());
    noted.map_err(Unmade::Other)?;
    let told = manage.run(["hostonlyif", "create"]).await;
    match told.map_err(Unmade::Manage) {
        Ok(told) => match answer::made_adapter(&told) {
            Some(name) => Ok(name),
            // The words are another version's or language's: what is there now is it.
            None => {
                let told = manage.run(["list", "hostonlyifs"]).await;
                let now = answer::host_only_adapters(&told.map_err(Unmade::Manage)?);
                let names = now.into_iter().map(|adapter| adapter.name);
                let mut new = names.filter(|name| !besides.contains(name));
                new.next().ok_or_else(|| {
                    let message = "VirtualBox made a host-only adapter that it does not list";
                    Unmade::Other(failure::backend(Operation::Create, message.to_owned()))
                })
            }
        },
        Err(error) => {
            register.not_made().map_err(Unmade::Other)?;
            Err(error)
        }
    }
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

/// The network in place of an adapter where VirtualBox has those: on macOS, from 7 on.
async fn net_of_macos(
    machine: &Machine,
    manage: &VBoxManage,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Option<Attachment>, DriverError> {
    if machine.surroundings.system != System::MacOs {
        return Ok(None);
    }
    let told = match manage.run(["list", "hostonlynets"]).await {
        Ok(told) => told,
        Err(error) if error.is(Trouble::Unknown) => return Ok(None),
        Err(error) => {
            return Err(failure::manage(
                operation,
                "listing host-only networks",
                error,
            ));
        }
    };
    let usual = HostCidr::new(Ipv4Addr::new(192, 168, 58, 1), 24);
    let cidr = machine.config.host_only_cidr.unwrap_or(usual);
    let attachment = |name: String| Attachment {
        network: format!("hostonly-{name}"),
        name,
        kind: Kind::Net,
        cidr,
        fresh: false,
    };
    if let Some(net) = network::net_on(&answer::host_only_nets(&told), cidr) {
        return Ok(Some(attachment(net.name.clone())));
    }
    let name = format!("rmachine-{}", cidr.subnet.at(0));
    work.report.step("making a host-only network");
    let upper = cidr.subnet.hosts().next_back().unwrap_or(cidr.address);
    let options = [
        format!("--name={name}"),
        format!("--netmask={}", cidr.subnet.mask()),
        format!("--lower-ip={}", cidr.address),
        format!("--upper-ip={upper}"),
        "--enable".to_owned(),
    ];
    let add = ["hostonlynet".to_owned(), "add".to_owned()];
    let added = manage.run(add.into_iter().chain(options)).await;
    added.map_err(|e| failure::manage(operation, "making a host-only network", e))?;
    Ok(Some(attachment(name)))
}
