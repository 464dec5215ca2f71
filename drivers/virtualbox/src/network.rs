//! Which host-only network a machine is on, and which address it has there: decisions, made from
//! what VirtualBox and the computer have.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use crate::allowed::Allowed;
use crate::answer::{DhcpServer, HostOnlyAdapter};
use crate::subnet::{HostCidr, Subnet};

/// The third bytes of 192.168.x.1/24 to choose from, the best first: others reach for 56 and 59.
const USUAL: [u8; 8] = [58, 60, 61, 62, 63, 57, 59, 56];

/// What VirtualBox has to attach VMs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An interface of this computer.
    Adapter,
    /// A network of macOS's own, with its own DHCP server.
    Net,
}

impl Kind {
    /// How VBoxManage is told to remove one.
    pub fn removal(self, name: &str) -> [String; 3] {
        match self {
            Self::Adapter => ["hostonlyif", "remove", name].map(str::to_owned),
            Self::Net => ["hostonlynet", "remove", &format!("--name={name}")].map(str::to_owned),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adapter => "adapter",
            Self::Net => "network",
        })
    }
}

/// What there is already.
#[derive(Clone, Debug)]
pub struct Present<'a> {
    /// What the adapters are: on macOS they stand for its networks.
    pub kind: Kind,
    /// VirtualBox's host-only adapters.
    pub adapters: &'a [HostOnlyAdapter],
    /// The networks that the computer reaches by other ways.
    pub elsewhere: &'a [Subnet],
    /// What VirtualBox allows.
    pub allowed: &'a Allowed,
}

/// The host-only network of a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// There is an adapter on it.
    Adapter(HostOnlyAdapter, HostCidr),
    /// It is to be made.
    Make(HostCidr),
}

/// Why there can be no such network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoNetwork {
    /// VirtualBox would refuse it with a bare "access denied".
    #[error("VirtualBox allows no host-only network {cidr} here: it allows {allowed}")]
    NotAllowed {
        /// The network.
        cidr: HostCidr,
        /// What is allowed.
        allowed: String,
    },
    /// The computer reaches other hosts at these addresses.
    #[error("this computer has another network {other} where {cidr} would be")]
    Clash {
        /// The network.
        cidr: HostCidr,
        /// What is there.
        other: Subnet,
    },
    /// Another adapter has some of the addresses.
    #[error("the host-only {kind} {adapter} has addresses of {cidr}, with another address or mask")]
    OtherAdapter {
        /// The network.
        cidr: HostCidr,
        /// What the adapter is.
        kind: Kind,
        /// The adapter.
        adapter: String,
    },
    /// Several adapters have this very network, and nothing tells which one gets the packets.
    #[error("the host-only {kind}s {first} and {second} are both on {cidr}")]
    Twice {
        /// The network.
        cidr: HostCidr,
        /// What the adapters are.
        kind: Kind,
        /// An adapter.
        first: String,
        /// Another one.
        second: String,
    },
    /// All that we choose from are taken.
    #[error("every network that VirtualBox allows for host-only adapters is taken by another one")]
    NoneFree,
}

impl NoNetwork {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotAllowed { cidr, .. } => format!(
                "choose another with --virtualbox-hostonly-cidr, or allow it: echo '* {}' | sudo tee -a {}",
                cidr.subnet,
                crate::allowed::FILE
            ),
            Self::Clash { .. } | Self::NoneFree => {
                "choose a network of your own with --virtualbox-hostonly-cidr".to_owned()
            }
            Self::OtherAdapter { kind, adapter, .. } => format!(
                "choose another with --virtualbox-hostonly-cidr, or remove that {kind}: VBoxManage {}",
                kind.removal(adapter).join(" ")
            ),
            Self::Twice { kind, second, .. } => {
                let removal = kind.removal(second).join(" ");
                format!("remove one of them: VBoxManage {removal}")
            }
        }
    }
}

/// The network to put a machine on: the wanted one, or one of ours.
pub fn choose(wanted: Option<HostCidr>, present: &Present<'_>) -> Result<Choice, NoNetwork> {
    if let Some(wanted) = wanted {
        return fit(wanted, present);
    }
    let usual = USUAL.map(|byte| HostCidr::new(Ipv4Addr::new(192, 168, byte, 1), 24));
    // A file may allow none of the usual ones.
    let within = match present.allowed {
        Allowed::Any => Vec::new(),
        Allowed::Within(ranges) => ranges.iter().filter_map(|range| first_in(*range)).collect(),
    };
    usual
        .into_iter()
        .chain(within)
        .find_map(|cidr| fit(cidr, present).ok())
        .ok_or(NoNetwork::NoneFree)
}

/// The first /24 of a range, or the range itself where it is smaller.
fn first_in(range: Subnet) -> Option<HostCidr> {
    let cidr = HostCidr::new(range.at(1), range.prefix().max(24));
    cidr.to_string().parse().ok()
}

fn fit(cidr: HostCidr, present: &Present<'_>) -> Result<Choice, NoNetwork> {
    let mut same = present
        .adapters
        .iter()
        .filter(|adapter| is_on(adapter, cidr));
    if let Some(adapter) = same.next() {
        return match same.next() {
            Some(second) => Err(NoNetwork::Twice {
                cidr,
                kind: present.kind,
                first: adapter.name.clone(),
                second: second.name.clone(),
            }),
            None => Ok(Choice::Adapter(adapter.clone(), cidr)),
        };
    }
    let others = present.adapters.iter();
    if let Some(adapter) = others
        .filter(|adapter| adapter.up)
        .find(|adapter| subnet(adapter).is_some_and(|s| s.overlaps(cidr.subnet)))
    {
        return Err(NoNetwork::OtherAdapter {
            cidr,
            kind: present.kind,
            adapter: adapter.name.clone(),
        });
    }
    let clash = present.elsewhere.iter().find(|s| s.overlaps(cidr.subnet));
    if let Some(other) = clash {
        return Err(NoNetwork::Clash {
            cidr,
            other: *other,
        });
    }
    if !present.allowed.allows(cidr.subnet) {
        return Err(NoNetwork::NotAllowed {
            cidr,
            allowed: present.allowed.listed(),
        });
    }
    Ok(Choice::Make(cidr))
}

fn subnet(adapter: &HostOnlyAdapter) -> Option<Subnet> {
    Subnet::of_mask(adapter.address?, adapter.mask?)
}

/// Whether this is the adapter's address and network.
pub fn is_on(adapter: &HostOnlyAdapter, cidr: HostCidr) -> bool {
    adapter.address == Some(cidr.address) && adapter.mask == Some(cidr.subnet.mask())
}

/// What a DHCP server of a network of ours gives to anybody: the upper half, so that the lower
/// one is left for addresses that stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// The server's own address.
    pub server: Ipv4Addr,
    /// The first address.
    pub lower: Ipv4Addr,
    /// The last one.
    pub upper: Ipv4Addr,
}

impl Range {
    /// The range of a network.
    pub fn of(cidr: HostCidr) -> Self {
        let hosts: Vec<Ipv4Addr> = cidr
            .subnet
            .hosts()
            .filter(|host| *host != cidr.address)
            .take(1 << 16)
            .collect();
        // The shortest network has five of them.
        let at = |place: usize| hosts.get(place).copied().unwrap_or(cidr.address);
        Self {
            server: at(0),
            lower: at(hosts.len() / 2),
            upper: at(hosts.len() - 1),
        }
    }

    /// The range of a server that is there and fits the network.
    pub fn served(server: &DhcpServer, cidr: HostCidr) -> Option<Self> {
        let range = Self {
            server: server.address?,
            lower: server.lower?,
            upper: server.upper?,
        };
        let inside = |address| cidr.subnet.holds(address) && address != cidr.address;
        let fits = inside(range.server)
            && inside(range.lower)
            && inside(range.upper)
            && range.lower <= range.upper
            && server.mask == Some(cidr.subnet.mask());
        // A range that leaves nothing for addresses that stay does not fit, either.
        (fits && range.leaves(cidr)).then_some(range)
    }

    fn leaves(&self, cidr: HostCidr) -> bool {
        let free = |host: &Ipv4Addr| *host != cidr.address && !self.takes(*host);
        cidr.subnet.hosts().take(1 << 16).any(|host| free(&host))
    }

    fn takes(&self, address: Ipv4Addr) -> bool {
        address == self.server || (self.lower..=self.upper).contains(&address)
    }
}

/// An address for a machine: the one that it had or asks for, or the first that is free.
pub fn address(
    cidr: HostCidr,
    range: &Range,
    taken: &BTreeSet<Ipv4Addr>,
    wished: Option<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let free =
        |host: &Ipv4Addr| *host != cidr.address && !range.takes(*host) && !taken.contains(host);
    if let Some(wished) = wished
        && cidr.subnet.hosts().any(|host| host == wished)
        && free(&wished)
    {
        return Some(wished);
    }
    cidr.subnet.hosts().find(free)
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
