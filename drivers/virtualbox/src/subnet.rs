use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network: `192.168.56.0/24`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subnet {
    first: u32,
    prefix: u32,
}

impl Subnet {
    /// The network of this size that holds the address.
    pub fn around(address: Ipv4Addr, prefix: u32) -> Self {
        let prefix = prefix.min(32);
        Self {
            first: address.to_bits() & bits(prefix),
            prefix,
        }
    }

    /// The network of this mask that holds the address; none where the mask has holes.
    pub fn of_mask(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        let prefix = mask.to_bits().leading_ones();
        (bits(prefix) == mask.to_bits()).then(|| Self::around(address, prefix))
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = bits(self.prefix.min(other.prefix));
        self.first & shorter == other.first & shorter
    }

    /// Whether the other lies in it.
    pub fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && other.first & bits(self.prefix) == self.first
    }

    /// Whether the address is in it.
    pub fn holds(self, address: Ipv4Addr) -> bool {
        address.to_bits() & bits(self.prefix) == self.first
    }

    /// The mask.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(bits(self.prefix))
    }

    /// The bits of the mask.
    pub fn prefix(self) -> u32 {
        self.prefix
    }

    /// The address at this place, counted from the network's own.
    pub fn at(self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.saturating_add(place))
    }

    /// The addresses that a host can have.
    pub fn hosts(self) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        let last = self.first | !bits(self.prefix);
        (self.first.saturating_add(1)..last).map(Ipv4Addr::from_bits)
    }
}

fn bits(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = InvalidCidr;

    /// Reads a network; the bits past the mask are dropped, as VirtualBox does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = split(text)?;
        Ok(Self::around(address, prefix))
    }
}

/// This computer's address on a network, and the network's size: `192.168.56.1/24`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostCidr {
    /// This computer's address.
    pub address: Ipv4Addr,
    /// The network around it.
    pub subnet: Subnet,
}

impl HostCidr {
    /// The address with the network of this size around it.
    pub fn new(address: Ipv4Addr, prefix: u32) -> Self {
        Self {
            address,
            subnet: Subnet::around(address, prefix),
        }
    }
}

impl FromStr for HostCidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = split(text)?;
        let cidr = Self::new(address, prefix);
        // Room for the computer, a DHCP server and machines.
        if prefix > 29 || prefix == 0 {
            return Err(InvalidCidr("the network must be of /1 to /29"));
        }
        if !cidr.subnet.hosts().any(|host| host == address) {
            return Err(InvalidCidr(
                "the address must be this computer's own on the network, such as 192.168.56.1/24",
            ));
        }
        Ok(cidr)
    }
}

impl fmt::Display for HostCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.subnet.prefix)
    }
}

fn split(text: &str) -> Result<(Ipv4Addr, u32), InvalidCidr> {
    const SHAPE: InvalidCidr = InvalidCidr("an IPv4 network is written as 192.168.56.1/24");
    let (address, prefix) = text.split_once('/').ok_or(SHAPE)?;
    let address = address.parse().map_err(|_| SHAPE)?;
    let prefix: u32 = prefix.parse().map_err(|_| SHAPE)?;
    if prefix > 32 {
        return Err(SHAPE);
    }
    Ok((address, prefix))
}

/// The text is no network with this computer's address on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCidr(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_contain_and_hold() {
        let net = |text: &str| text.parse::<Subnet>().unwrap();
        assert!(net("192.168.56.0/21").contains(net("192.168.63.0/24")));
        assert!(!net("192.168.56.0/21").contains(net("192.168.64.0/24")));
        assert!(net("10.0.0.0/8").overlaps(net("10.3.0.0/16")));
        assert!(!net("10.0.0.0/9").overlaps(net("10.128.0.0/9")));
        assert!(net("0.0.0.0/0").holds(Ipv4Addr::LOCALHOST));
        assert_eq!(net("192.168.56.9/29").hosts().count(), 6);
        assert_eq!(net("192.168.56.9/29").to_string(), "192.168.56.8/29");
        assert_eq!(net("1.2.3.4/32").hosts().count(), 0);
    }

    #[test]
    fn a_mask_has_no_holes() {
        let address = Ipv4Addr::new(192, 168, 56, 1);
        let of = |a, b, c, d| Subnet::of_mask(address, Ipv4Addr::new(a, b, c, d));
        assert_eq!(of(255, 255, 255, 0).unwrap().prefix(), 24);
        assert_eq!(of(255, 0, 255, 0), None);
    }

    #[test]
    fn this_computers_address_must_be_one() {
        for good in ["192.168.56.1/24", "10.0.0.254/8", "192.168.56.9/29"] {
            assert_eq!(good.parse::<HostCidr>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "192.168.56.1",
            "192.168.56.0/24",
            "192.168.56.255/24",
            "192.168.56.1/30",
            "192.168.56.1/33",
            "1.2.3.4/0",
            "fd00::1/64",
            "a/24",
            "192.168.56.1/-1",
        ] {
            assert!(bad.parse::<HostCidr>().is_err(), "{bad}");
        }
    }
}
