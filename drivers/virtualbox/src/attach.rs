use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::answer::{self, HostOnlyAdapter, uses_adapter};
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::network::Choice;
pub use crate::network::Kind;
use crate::register::Register;
use crate::said::Trouble;
use crate::subnet::HostCidr;
use crate::survey::Survey;
use crate::{failure, net};

/// What a machine's stake in a host-only adapter that rmachine made is called; found again by this
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
    let mut register = Register::read(&machine.shared());
    let survey = Survey::of(machine, &manage, &register, operation).await?;
    let choice = survey.choose(&manage).await;
    let choice = choice.map_err(|error| failure::network(operation, error))?;
    match (survey.kind, choice) {
        (Kind::Net, choice) => net::ensure(&manage, choice, operation, work).await,
        (Kind::Adapter, Choice::Adapter(adapter, cidr)) => {
            if register.has(&adapter.name, cidr) {
                take_part(work, cidr)?;
            }
            if let Some(half) = &survey.half {
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
        (Kind::Adapter, Choice::Make(cidr)) => {
            take_part(work, cidr)?;
            work.report.step("making a host-only network");
            let name = make(&manage, &mut register, cidr, survey).await;
            let name = name.map_err(|error| match error {
                Unmade::Manage(error) => {
                    failure::manage(operation, "making a host-only adapter", error)
                }
                Unmade::Other(error) => error,
            })?;
            if let Err(error) = set_address(&manage, &name, cidr).await {
                // One that stays is found again.
                if remove_adapter(&manage, &name).await.is_ok() {
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
    survey: Survey,
) -> Result<String, Unmade> {
    let mut besides = survey.names;
    besides.retain(|name| Some(name) != survey.half.as_ref());
    let noted = register.making(cidr, besides.clone());
    noted.map_err(Unmade::Other)?;
    if let Some(half) = survey.half {
        return Ok(half);
    }
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
