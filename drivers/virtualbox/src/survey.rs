use rmachine_driver::{DriverError, Operation};

use crate::adapter::Adapters;
use crate::allowed::{self, Allowed};
use crate::answer::{HostOnlyAdapter, HostOnlyNet, Version};
use crate::find::System;
use crate::machine::Machine;
use crate::manage::VBoxManage;
use crate::network::{self, Choice, Kind, NoNetwork, Present};
use crate::register::Register;
use crate::subnet::{HostCidr, Subnet};
use crate::{host_networks, net};

/// What there is for a machine to be attached to, and what is in the way of a new one.
#[derive(Debug)]
pub struct Survey {
    /// What this VirtualBox attaches VMs to.
    pub kind: Kind,
    /// The adapters; networks of macOS's as if they were some.
    pub adapters: Adapters,
    wanted: Option<HostCidr>,
    elsewhere: Vec<Subnet>,
    allowed: Allowed,
}

impl Survey {
    /// Looks at VirtualBox and at the computer.
    pub async fn of(
        machine: &Machine,
        manage: &VBoxManage,
        register: &Register,
        operation: Operation,
    ) -> Result<Self, DriverError> {
        let root = &machine.surroundings.root;
        let wanted = machine.config.host_only_cidr;
        if let Some(nets) = net::list(machine, manage, operation).await? {
            let nets = nets.iter().filter_map(|net| as_adapter(net, wanted));
            return Ok(Self {
                kind: Kind::Net,
                adapters: Adapters {
                    whole: nets.collect(),
                    half: None,
                },
                wanted,
                elsewhere: host_networks::besides(root, &[]),
                allowed: Allowed::Any,
            });
        }
        let adapters = Adapters::of(manage, register, operation).await?;
        let interfaces: Vec<&str> = adapters.names().collect();
        Ok(Self {
            kind: Kind::Adapter,
            wanted,
            elsewhere: host_networks::besides(root, &interfaces),
            adapters,
            allowed: allowed(machine),
        })
    }

    /// The network to put the machine on.
    pub async fn choose(&self, manage: &VBoxManage) -> Result<Choice, NoNetwork> {
        match self.choose_within(&self.allowed) {
            Err(NoNetwork::NotAllowed { .. }) if has_no_limits(manage).await => {
                self.choose_within(&Allowed::Any)
            }
            choice => choice,
        }
    }

    fn choose_within(&self, allowed: &Allowed) -> Result<Choice, NoNetwork> {
        let present = Present {
            kind: self.kind,
            adapters: &self.adapters.whole,
            elsewhere: &self.elsewhere,
            allowed,
        };
        network::choose(self.wanted, &present)
    }
}

/// Whether this VirtualBox is known to be from before the limits on host-only addresses. Its
/// version tells: to try would be to change an adapter.
async fn has_no_limits(manage: &VBoxManage) -> bool {
    let told = manage.run(["--version"]).await.ok();
    let version = told.and_then(|told| Version::read(&told));
    version.is_some_and(|version| version < allowed::SINCE)
}

/// A network of macOS's as if it were an adapter. This computer's address on it is the asked one,
/// or the first: nothing on the network depends on it.
fn as_adapter(net: &HostOnlyNet, wanted: Option<HostCidr>) -> Option<HostOnlyAdapter> {
    let subnet = Subnet::of_mask(net.lower?, net.mask?)?;
    let asked = wanted.filter(|wanted| wanted.subnet == subnet);
    Some(HostOnlyAdapter {
        name: net.name.clone(),
        address: Some(asked.map_or(subnet.at(1), |asked| asked.address)),
        mask: net.mask,
        up: true,
        network: net::network(&net.name),
    })
}

/// What VirtualBox allows on this computer.
fn allowed(machine: &Machine) -> Allowed {
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
