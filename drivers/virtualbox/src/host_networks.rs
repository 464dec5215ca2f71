use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage};

use crate::subnet::Subnet;

/// Where Linux lists its IPv4 routes; other systems have other ways, and are asked for their
/// interfaces only.
const ROUTES: &str = "proc/net/route";

/// A route that is broader than this one leads to everything that is nowhere else, as the default
/// route does: no network is as broad, and a VPN that takes all traffic lays two halves of the
/// default route, through a gateway or (WireGuard) without one. An adapter's own network goes before
/// it, so it is no clash.
const BROADEST: u32 = 8;

/// Where Linux lists the hosts that it has met.
const MET: &str = "proc/net/arp";

/// The IPv4 networks that this computer reaches, but not through one of these interfaces.
pub fn besides(root: &Path, interfaces: &[&str]) -> Vec<Subnet> {
    let mut networks = of_interfaces(interfaces);
    if let Ok(routes) = fs::read_to_string(root.join(ROUTES)) {
        networks.extend(of_routes(&routes, interfaces));
    }
    networks
}

/// The addresses of hosts that this computer has met on an interface, but for that of this card.
pub fn met(root: &Path, interface: &str, but: &str) -> Vec<Ipv4Addr> {
    let table = fs::read_to_string(root.join(MET)).unwrap_or_default();
    met_in(&table, interface, but)
}

/// The kernel's table: address, type, flags, card, mask, interface. An entry without a card is one
/// of a host that did not answer.
fn met_in(table: &str, interface: &str, but: &str) -> Vec<Ipv4Addr> {
    let host = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, flags, card, _, on] = fields[..] else {
            return None;
        };
        let card = card.replace(':', "");
        let there = flags != "0x0" && !card.eq_ignore_ascii_case(but);
        (on == interface && there).then(|| address.parse().ok())?
    };
    table.lines().skip(1).filter_map(host).collect()
}

fn of_interfaces(except: &[&str]) -> Vec<Subnet> {
    // Without the list, VirtualBox's own refusal of a clash is what is left.
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter(|interface| !except.contains(&interface.interface_name.as_str()))
        .filter_map(|interface| {
            Subnet::of_mask(ipv4(&interface.address?)?, ipv4(&interface.netmask?)?)
        })
        .collect()
}

fn ipv4(address: &SockaddrStorage) -> Option<Ipv4Addr> {
    match address.family() {
        Some(AddressFamily::Inet) => address.as_sockaddr_in().map(|inet| inet.ip()),
        _ => None,
    }
}

/// The routes of the kernel's table: interface, destination and mask in hexadecimal, with the
/// bytes as the network has them, read by this processor.
fn of_routes(table: &str, except: &[&str]) -> Vec<Subnet> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (interface, destination, mask) = (fields.first()?, fields.get(1)?, fields.get(7)?);
        if except.contains(interface) {
            return None;
        }
        let address = |hex: &str| {
            let bits = u32::from_str_radix(hex, 16).ok()?;
            Some(Ipv4Addr::from(bits.to_ne_bytes()))
        };
        let subnet = Subnet::of_mask(address(destination)?, address(mask)?)?;
        (subnet.prefix() >= BROADEST).then_some(subnet)
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_one_of_them() {
        let loopback: Subnet = "127.0.0.0/8".parse().unwrap();
        let names = |except: &[&str]| of_interfaces(except).contains(&loopback);
        assert!(names(&[]));
        assert!(!names(&["lo", "lo0"]));
    }

    #[test]
    fn hosts_that_answered_are_met() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            192.168.58.3     0x1         0x2         08:00:27:aa:bb:cc     *        vboxnet0\n\
            192.168.58.4     0x1         0x0         00:00:00:00:00:00     *        vboxnet0\n\
            192.168.58.5     0x1         0x2         08:00:27:AA:bb:dd     *        vboxnet0\n\
            10.0.0.1         0x1         0x2         08:00:27:aa:bb:ee     *        eth0\n";
        let met = met_in(table, "vboxnet0", "080027aabbdd");
        assert_eq!(met, [Ipv4Addr::new(192, 168, 58, 3)]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read_and_those_to_everything_are_none() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
            tun0\t00000080\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
            wg0\t000000C0\t00000000\t0001\t0\t0\t0\t000000E0\t0\t0\t0\n\
            tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n\
            vboxnet0\t0038A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            broken\tline\n";
        let shown = |except: &[&str]| -> Vec<String> {
            of_routes(table, except)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(shown(&["vboxnet0"]), ["10.0.0.0/8"]);
        assert_eq!(shown(&[]), ["10.0.0.0/8", "192.168.56.0/24"]);
    }
}
