//! The names and addresses that a machine's certificates carry: a pure decision.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rmachine_machine::Record;
use rmachine_pki::San;
use rmachine_provision::Interface;

/// The prefixes of interfaces whose addresses lead to containers: every host has them alike.
const OF_CONTAINERS: [&str; 5] = ["docker", "br-", "veth", "cni", "virbr"];

/// What a machine's certificate carries, once each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names {
    /// Under which the machine is reached: a certificate without one of them is made anew.
    pub needed: Vec<San>,
    /// Those, and the host's own addresses. A new certificate has them all; one that is there is
    /// not made anew for them, nor its engine restarted, since they come and go by themselves: with
    /// a VPN, a later lease, or the router's next advertisement.
    pub all: Vec<San>,
}

impl Names {
    /// From a machine's record, the address by which its driver reaches it, what that address
    /// resolves to, and what its host has.
    pub(crate) fn of(
        record: &Record,
        address: String,
        reached: &[IpAddr],
        interfaces: &[Interface],
    ) -> Self {
        let fixed = [
            record.name().to_string(),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            address,
        ];
        let asked = record.auth.server_cert_sans.iter().cloned();
        let store = record.own.store.as_ref().and_then(|server| server.address);
        let addresses = reached.iter().copied().chain(store);
        let needed: Vec<String> = fixed
            .into_iter()
            .chain(asked)
            .chain(advertised(&record.swarm.address, interfaces))
            .chain(addresses.map(|ip| ip.to_string()))
            .collect();
        let own = own_addresses(interfaces).map(|ip| ip.to_string());
        Self {
            all: once_each(needed.iter().cloned().chain(own)),
            needed: once_each(needed.iter().cloned()),
        }
    }
}

/// By which a manager reaches the machine: a name or an address, or the addresses of an interface.
fn advertised(address: &str, interfaces: &[Interface]) -> Vec<String> {
    let of_interface = interfaces.iter().find(|it| it.name == address);
    match of_interface {
        _ if address.is_empty() => Vec::new(),
        Some(interface) => reachable(interface).map(|ip| ip.to_string()).collect(),
        None => vec![address.to_owned()],
    }
}

/// The addresses that are the host's own.
fn own_addresses(interfaces: &[Interface]) -> impl Iterator<Item = IpAddr> {
    let of_containers = |name: &str| OF_CONTAINERS.iter().any(|prefix| name.starts_with(prefix));
    interfaces
        .iter()
        .filter(move |interface| interface.name != "lo" && !of_containers(&interface.name))
        .flat_map(reachable)
}

/// Those that need no name of an interface to be reached.
fn reachable(interface: &Interface) -> impl Iterator<Item = IpAddr> {
    interface.addresses.iter().copied().filter(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback(),
    })
}

fn once_each(names: impl Iterator<Item = String>) -> Vec<San> {
    let mut seen = BTreeSet::new();
    names
        .filter(|name| seen.insert(name.clone()))
        .map(San::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use rmachine_machine::{CertificateOverrides, Store};

    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    /// The names of a machine that advertises `address`: those needed, and those besides.
    fn names(address: &str, interfaces: &[Interface]) -> [Vec<String>; 2] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let certificates = store.certificates(&CertificateOverrides::default());
        let name = "n1".parse().unwrap();
        let mut record = Record::new(
            store.layout(),
            &certificates,
            name,
            "none",
            Default::default(),
        );
        record.swarm.address = address.to_owned();
        let reached = ["10.0.2.15".parse().unwrap()];
        let names = Names::of(&record, "n1.example".to_owned(), &reached, interfaces);
        assert!(names.all.starts_with(&names.needed));
        let told = |names: &[San]| names.iter().map(ToString::to_string).collect();
        [told(&names.needed), told(&names.all[names.needed.len()..])]
    }

    const FIXED: [&str; 5] = ["n1", "localhost", "127.0.0.1", "n1.example", "10.0.2.15"];

    #[test]
    fn the_hosts_own_addresses_are_welcome_and_those_of_container_networks_are_not() {
        let interfaces = [
            interface("lo", &["127.0.0.1", "::1"]),
            interface("eth0", &["10.0.2.15", "fe80::1"]),
            interface("eth1", &["192.168.56.10", "fd00::10"]),
            interface("docker0", &["172.17.0.1"]),
            interface("br-1f2e", &["172.18.0.1"]),
            interface("veth12", &["169.254.0.1"]),
        ];
        let [needed, besides] = names("", &interfaces);
        assert_eq!(needed, FIXED);
        assert_eq!(besides, ["192.168.56.10", "fd00::10"]);
    }

    #[test]
    fn what_a_manager_is_told_is_needed() {
        let interfaces = [interface("eth1", &["192.168.56.10", "fe80::1"])];
        for (address, expected) in [("eth1", "192.168.56.10"), ("n1.other", "n1.other")] {
            let [needed, _] = names(address, &interfaces);
            let [before @ .., reached] = FIXED;
            let expected = [&before[..], &[expected, reached]].concat();
            assert_eq!(needed, expected, "{address}");
        }
    }
}
