//! The names and addresses that a machine's certificates carry: a pure decision.
//!
//! They are what the owner named, what rmachine connects to, and one address of each interface that
//! the owner named. Anything else that a host reports about itself adds nothing: a hostile host
//! would obtain certificates for the addresses of other machines.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rmachine_driver::HostAddress;
use rmachine_machine::Record;
use rmachine_pki::San;
use rmachine_provision::Interface;

use crate::SwarmHost;
use crate::swarm::interface_address;

/// The option of engines that names the address or interface that others reach them at.
const CLUSTER_ADVERTISE: &str = "cluster-advertise=";

/// What a machine's certificates carry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names {
    /// All of them, once each.
    pub sans: Vec<San>,
    /// The addresses that rmachine connects to, and those that the owner named for the machine.
    pub reached: Vec<IpAddr>,
    /// The addresses that the host reports for interfaces that the owner named.
    pub reported: Vec<IpAddr>,
}

impl Names {
    /// Collects them from a machine's record, the address at which its driver reaches it, the
    /// addresses that this one resolves to, and the interfaces that its host reports.
    pub(crate) fn of(
        record: &Record,
        address: &HostAddress,
        resolved: &[IpAddr],
        interfaces: &[Interface],
    ) -> Self {
        let mut names = vec![
            record.name().to_string(),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            address.to_string(),
        ];
        names.extend(record.auth.server_cert_sans.iter().cloned());
        let mut reached = resolved.to_vec();
        let mut reported = Vec::new();
        for place in advertised(record) {
            match interfaces.iter().find(|one| one.name == place) {
                Some(interface) => reported.extend(interface_address(interface)),
                None => {
                    reached.extend(place.parse::<IpAddr>());
                    names.push(place);
                }
            }
        }
        let store = record.own.store.as_ref().and_then(|server| server.address);
        let addresses = reached.iter().chain(&reported).copied().chain(store);
        names.extend(addresses.map(|ip| ip.to_string()));
        Self {
            sans: once_each(names.into_iter()),
            reached,
            reported,
        }
    }
}

/// What the owner named for others to reach the machine at: names, addresses or interfaces.
fn advertised(record: &Record) -> Vec<String> {
    let mut places = vec![record.swarm.address.clone()];
    if record.swarm.master
        && let Ok(host) = record.swarm.host.parse::<SwarmHost>()
        && !host.ip.is_unspecified()
    {
        places.push(host.ip.to_string());
    }
    places.extend(
        record
            .own
            .swarm_mode
            .iter()
            .map(|mode| mode.address.clone()),
    );
    let options = record.engine.arbitrary_flags.iter();
    let options = options.filter_map(|option| option.strip_prefix(CLUSTER_ADVERTISE));
    places.extend(options.map(without_port));
    places.retain(|place| !place.is_empty());
    places
}

/// The host of `HOST:PORT`, `[ADDRESS]:PORT` or `INTERFACE:PORT`.
fn without_port(text: &str) -> String {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

fn once_each(names: impl Iterator<Item = String>) -> Vec<San> {
    let mut known = BTreeSet::new();
    names
        .map(San::from)
        .filter(|san| known.insert(san.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rmachine_machine::{CertificateOverrides, Store, SwarmMode};

    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    fn names(change: impl FnOnce(&mut Record), interfaces: &[Interface]) -> Names {
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
        change(&mut record);
        let address = "n1.example".parse().unwrap();
        Names::of(
            &record,
            &address,
            &["10.0.2.15".parse().unwrap()],
            interfaces,
        )
    }

    fn texts(names: &Names) -> Vec<String> {
        names.sans.iter().map(ToString::to_string).collect()
    }

    const FIXED: [&str; 5] = ["n1", "localhost", "127.0.0.1", "n1.example", "10.0.2.15"];

    fn hosts_interfaces() -> [Interface; 4] {
        [
            interface("lo", &["127.0.0.1", "::1"]),
            interface("eth0", &["10.0.2.15", "fe80::1"]),
            interface("eth1", &["192.168.56.10", "192.168.56.11", "fe80::1"]),
            interface("docker0", &["172.17.0.1"]),
        ]
    }

    #[test]
    fn interfaces_that_nobody_named_add_nothing() {
        let names = names(|_| {}, &hosts_interfaces());
        assert_eq!(texts(&names), FIXED);
        assert!(names.reported.is_empty());
    }

    #[test]
    fn named_interface_adds_the_address_that_is_advertised() {
        let changes: [fn(&mut Record); 3] = [
            |record| record.swarm.address = "eth1".to_owned(),
            |record| record.engine.arbitrary_flags = vec!["cluster-advertise=eth1:2376".to_owned()],
            |record| {
                record.own.swarm_mode = Some(SwarmMode {
                    manager: false,
                    join: None,
                    address: "eth1".to_owned(),
                });
            },
        ];
        for change in changes {
            let names = names(change, &hosts_interfaces());
            assert_eq!(texts(&names), [&FIXED[..], &["192.168.56.10"]].concat());
            assert_eq!(names.reported, ["192.168.56.10".parse::<IpAddr>().unwrap()]);
        }
    }

    #[test]
    fn named_addresses_are_the_owners_and_not_the_hosts() {
        for (option, expected) in [
            ("cluster-advertise=192.0.2.7:2376", "192.0.2.7"),
            ("cluster-advertise=[fd00::7]:2376", "fd00::7"),
            ("cluster-advertise=n1.other:2376", "n1.other"),
        ] {
            let named = |record: &mut Record| {
                record.engine.arbitrary_flags = vec![option.to_owned()];
            };
            let names = names(named, &hosts_interfaces());
            assert!(texts(&names).contains(&expected.to_owned()), "{option}");
            assert!(names.reported.is_empty());
        }
        let manager = |record: &mut Record| {
            record.swarm.master = true;
            record.swarm.host = "tcp://192.0.2.8:3376".to_owned();
            record.auth.server_cert_sans = vec!["N1.other".to_owned(), "n1.other".to_owned()];
        };
        let names = names(manager, &[]);
        let [fixed @ .., last] = FIXED;
        let expected = [&fixed[..], &["n1.other", "192.0.2.8", last]].concat();
        assert_eq!(texts(&names), expected);
    }
}
