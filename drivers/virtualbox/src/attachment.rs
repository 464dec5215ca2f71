use crate::network::Kind;
use crate::subnet::HostCidr;

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
