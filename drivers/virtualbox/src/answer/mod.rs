//! What VBoxManage prints, read leniently: words and lines that are not known are passed over.

mod blocks;
mod dhcp;
mod host;
mod interfaces;
mod log;
mod property;
mod snapshot;
mod version;
mod vm;

#[cfg(test)]
mod tests;

pub use dhcp::{DhcpServer, dhcp_servers};
pub use host::{Host, host};
pub use interfaces::{
    HostOnlyAdapter, HostOnlyNet, host_only_adapters, host_only_nets, made_adapter,
};
pub use log::{last_trouble, refused_port, runtime_error};
pub use property::guest_property;
pub use snapshot::{VmSnapshot, snapshots};
pub use version::Version;
pub use vm::{Vm, VmState, registered_vms, uses_adapter, vm};
