use std::net::Ipv4Addr;

use super::blocks::{blocks, value};

/// A host-only adapter: an interface of this computer that VMs are attached to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostOnlyAdapter {
    /// `vboxnet0`.
    pub name: String,
    /// This computer's address on it.
    pub address: Option<Ipv4Addr>,
    /// The bits of its network.
    pub mask: Option<Ipv4Addr>,
    /// Whether the interface is up.
    pub up: bool,
    /// The name of its network, by which its DHCP server goes.
    pub network: String,
}

impl HostOnlyAdapter {
    /// Whether nobody has set it up: it is down, and VirtualBox tells the address that it gives to
    /// an adapter without one. That is 192.168.56.1; for `vboxnet1` 192.168.57.1, and so on.
    pub fn is_bare(&self) -> bool {
        let number = self.name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let number: u8 = number.parse().unwrap_or(0);
        let usual = [56, 56u8.saturating_add(number)].map(|n| Ipv4Addr::new(192, 168, n, 1));
        !self.up && self.address.is_none_or(|address| usual.contains(&address))
    }
}

/// A host-only network, which macOS has in place of adapters from VirtualBox 7 on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostOnlyNet {
    /// Its name.
    pub name: String,
    /// The bits of its network.
    pub mask: Option<Ipv4Addr>,
    /// The first address, which is this computer's.
    pub lower: Option<Ipv4Addr>,
    /// The last address that is given out.
    pub upper: Option<Ipv4Addr>,
}

/// Reads `list hostonlyifs`.
pub fn host_only_adapters(text: &str) -> Vec<HostOnlyAdapter> {
    let read = |block: &Vec<(&str, &str)>| {
        let name = value(block, &["Name"])?.to_owned();
        let network = value(block, &["VBoxNetworkName"]);
        Some(HostOnlyAdapter {
            address: address(value(block, &["IPAddress"])),
            mask: mask(value(block, &["NetworkMask"])),
            up: value(block, &["Status"]) == Some("Up"),
            network: network
                .map_or_else(|| format!("HostInterfaceNetworking-{name}"), str::to_owned),
            name,
        })
    };
    blocks(text, "Name").iter().filter_map(read).collect()
}

/// Reads `list hostonlynets`.
pub fn host_only_nets(text: &str) -> Vec<HostOnlyNet> {
    let read = |block: &Vec<(&str, &str)>| {
        Some(HostOnlyNet {
            name: value(block, &["Name"])?.to_owned(),
            mask: mask(value(block, &["NetworkMask"])),
            lower: address(value(block, &["LowerIP"])),
            upper: address(value(block, &["UpperIP"])),
        })
    };
    blocks(text, "Name").iter().filter_map(read).collect()
}

/// The name of the adapter that `hostonlyif create` says it made.
pub fn made_adapter(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| line.contains("successfully created"))?;
    let (_, rest) = line.split_once('\'')?;
    let (name, _) = rest.rsplit_once('\'')?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// An address that somebody gave; none is written as zeros.
fn address(text: Option<&str>) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text?.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}

/// A mask, also as some versions on Windows write it: `0f000000` for the one that they mean.
fn mask(text: Option<&str>) -> Option<Ipv4Addr> {
    let text = text?;
    if text == "0f000000" {
        return Some(Ipv4Addr::new(255, 255, 255, 0));
    }
    address(Some(text))
}
