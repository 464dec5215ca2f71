use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network: `10.213.0.0/22`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subnet {
    first: u32,
    prefix: u32,
}

impl Subnet {
    /// The network of this size that holds the address.
    pub fn around(address: Ipv4Addr, prefix: u32) -> Self {
        Self {
            first: address.to_bits() & mask(prefix),
            prefix,
        }
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.first & shorter == other.first & shorter
    }

    /// Whether the address is in it.
    pub fn holds(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.first
    }

    /// The lower and the upper half.
    fn halves(self) -> (Self, Self) {
        let prefix = self.prefix + 1;
        let upper = self.first | (1 << (32 - prefix));
        (
            Self { prefix, ..self },
            Self {
                first: upper,
                prefix,
            },
        )
    }

    /// The addresses that a host can have.
    fn hosts(self) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        let last = self.first | !mask(self.prefix);
        (self.first.saturating_add(1)..last).map(Ipv4Addr::from_bits)
    }
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidSubnet)?;
        let address: Ipv4Addr = address.parse().map_err(|_| InvalidSubnet)?;
        let prefix: u32 = prefix.parse().map_err(|_| InvalidSubnet)?;
        if prefix > 32 {
            return Err(InvalidSubnet);
        }
        Ok(Self::around(address, prefix))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.prefix)
    }
}

/// The text is no IPv4 network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an IPv4 network such as 10.213.0.0/22")]
pub struct InvalidSubnet;

/// The layout of the driver's own network: machines get fixed addresses from the lower half, and
/// the engine gives addresses from the upper half to whatever else is attached, so that it never
/// takes the address of a machine that is off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    pub subnet: Subnet,
    pub given_by_engine: Subnet,
    pub gateway: Ipv4Addr,
}

/// Chooses a subnet that meets no other.
///
/// The candidates keep away from what engines choose by themselves: bridges in 172.16.0.0/12 and
/// 192.168.0.0/16 from below, overlays from 10.0.0.0 upwards, those of engines inside the machines
/// included.
pub fn choose_layout(taken: &[Subnet]) -> Option<Layout> {
    let ten = (0..=252).step_by(4).map(|third| [10, 213, third, 0]);
    let private = (200..=248).step_by(4).map(|third| [192, 168, third, 0]);
    let twelve = (0..=252).step_by(4).map(|third| [172, 29, third, 0]);
    ten.chain(private)
        .chain(twelve)
        .map(|octets| Subnet::around(octets.into(), 22))
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
        .map(|subnet| Layout {
            subnet,
            given_by_engine: subnet.halves().1,
            gateway: Ipv4Addr::from_bits(subnet.first + 1),
        })
}

/// Chooses a free address outside the engine's own range; where the engine gives from all of the
/// subnet, from its far end, since engines give from the near one.
pub fn choose_address(
    subnet: Subnet,
    given_by_engine: Option<Subnet>,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let free = |address: &Ipv4Addr| !taken.contains(address);
    match given_by_engine {
        Some(range) if range != subnet => subnet
            .hosts()
            .find(|address| free(address) && !range.holds(*address)),
        _ => subnet.hosts().rev().find(free),
    }
}

/// The networks that the machine below has routes to, from `/proc/net/route`. The default route
/// meets everything and is left out.
pub fn routed(table: &str) -> Vec<Subnet> {
    let hex = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let destination = hex(fields.nth(1)?)?;
            let prefix = hex(fields.nth(5)?)?.count_ones();
            (prefix > 0).then(|| Subnet::around(Ipv4Addr::from_bits(destination), prefix))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn reads_networks() {
        assert_eq!(subnet("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(subnet("0.0.0.0/0").to_string(), "0.0.0.0/0");
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "fd00::/8",
            "a/8",
            "10.0.0.0/-1",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn goes_around_what_is_taken() {
        let chosen = |taken: &[&str]| {
            let taken: Vec<Subnet> = taken.iter().map(|t| subnet(t)).collect();
            choose_layout(&taken).map(|layout| layout.subnet.to_string())
        };
        assert_eq!(chosen(&[]).unwrap(), "10.213.0.0/22");
        assert_eq!(chosen(&["10.213.1.0/24"]).unwrap(), "10.213.4.0/22");
        assert_eq!(chosen(&["10.0.0.0/8"]).unwrap(), "192.168.200.0/22");
        assert_eq!(
            chosen(&["10.0.0.0/8", "192.168.0.0/16"]).unwrap(),
            "172.29.0.0/22"
        );
        assert_eq!(chosen(&["0.0.0.0/0"]), None);
    }

    #[test]
    fn machines_keep_out_of_the_engines_half() {
        let layout = choose_layout(&[]).unwrap();
        assert_eq!(layout.gateway.to_string(), "10.213.0.1");
        assert_eq!(layout.given_by_engine.to_string(), "10.213.2.0/23");
        let mut taken = BTreeSet::from([layout.gateway]);
        for expected in ["10.213.0.2", "10.213.0.3"] {
            let address =
                choose_address(layout.subnet, Some(layout.given_by_engine), &taken).unwrap();
            assert_eq!(address.to_string(), expected);
            taken.insert(address);
        }
    }

    #[test]
    fn on_a_network_of_the_users_addresses_come_from_the_far_end() {
        let small = subnet("192.168.9.0/29");
        let mut taken = BTreeSet::from([Ipv4Addr::new(192, 168, 9, 6)]);
        let next = |taken: &BTreeSet<_>| choose_address(small, Some(small), taken);
        assert_eq!(next(&taken), Some(Ipv4Addr::new(192, 168, 9, 5)));
        taken.extend(small.hosts());
        assert_eq!(next(&taken), None);
    }

    #[test]
    fn reads_the_kernels_routes() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t00001EAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let routes: Vec<String> = routed(table).iter().map(Subnet::to_string).collect();
        assert_eq!(routes, ["172.30.0.0/16"]);
    }

    proptest! {
        #[test]
        fn overlap_is_mutual_and_means_a_common_end(a: u32, b: u32, p in 0u32..=32, q in 0u32..=32) {
            let (a, b) = (
                Subnet::around(Ipv4Addr::from_bits(a), p),
                Subnet::around(Ipv4Addr::from_bits(b), q),
            );
            prop_assert_eq!(a.overlaps(b), b.overlaps(a));
            let common = a.holds(Ipv4Addr::from_bits(b.first)) || b.holds(Ipv4Addr::from_bits(a.first));
            prop_assert_eq!(a.overlaps(b), common);
        }
    }
}
