use std::net::IpAddr;

use rmachine_driver::{Driver, HostAddress};
use rmachine_machine::Record;
use rmachine_pki::San;
use rmachine_provision::Interface;

use super::SwarmHost;
use crate::LifecycleError;

/// Where a machine's part in a cluster is reached.
pub(super) struct Place {
    /// The machine, as its agent's certificate names it.
    pub(super) address: San,
    /// The engine.
    pub(super) engine: String,
    /// The manager.
    pub(super) manager: String,
    /// Where the manager listens.
    pub(super) host: SwarmHost,
}

/// Where a machine's engine and manager are told to be.
pub(super) async fn place(
    record: &Record,
    driver: &dyn Driver,
    interfaces: &[Interface],
) -> Result<Place, LifecycleError> {
    let address = reached_at(record, driver, interfaces).await?;
    let host = swarm_host(record)?;
    Ok(Place {
        address: San::from(address.to_string()),
        engine: format!("{}:{}", address.in_url(), driver.engine_port()),
        manager: format!("{}:{}", address.in_url(), host.port),
        host,
    })
}

/// The address by which other machines reach this one.
pub(crate) async fn reached_at(
    record: &Record,
    driver: &dyn Driver,
    interfaces: &[Interface],
) -> Result<HostAddress, LifecycleError> {
    match record.swarm.address.as_str() {
        "" => Ok(driver.address().await?),
        asked => advertised(asked, interfaces).ok_or_else(|| LifecycleError::SwarmAddress {
            asked: asked.to_owned(),
            interfaces: interfaces.iter().map(|one| one.name.clone()).collect(),
        }),
    }
}

/// `--swarm-addr`: an interface of the host, or an address or name by which others reach it.
fn advertised(asked: &str, interfaces: &[Interface]) -> Option<HostAddress> {
    match interfaces.iter().find(|interface| interface.name == asked) {
        Some(interface) => interface_address(interface).map(HostAddress::Ip),
        None => asked.parse().ok(),
    }
}

/// The address of an interface by which others reach the host: an IPv4 address before one of IPv6,
/// and none that is valid on one link or one host only.
pub(crate) fn interface_address(interface: &Interface) -> Option<IpAddr> {
    let mut routable = interface.addresses.iter().copied().filter(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback() && !ip.is_unspecified(),
    });
    let first = routable.clone().find(IpAddr::is_ipv4);
    first.or_else(|| routable.next())
}

pub(super) fn swarm_host(record: &Record) -> Result<SwarmHost, LifecycleError> {
    match record.swarm.host.as_str() {
        "" => Ok(SwarmHost::default()),
        text => Ok(text.parse()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_stands_for_its_address() {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        let interfaces = [
            interface("eth0", &["fe80::1", "10.0.2.15"]),
            interface("eth1", &["fe80::1", "fd00::10"]),
            interface("eth2", &[]),
        ];
        for (asked, expected) in [
            ("eth0", Some("10.0.2.15")),
            ("eth1", Some("fd00::10")),
            ("eth2", None),
            ("192.0.2.7", Some("192.0.2.7")),
            ("node.example.org", Some("node.example.org")),
            ("not a name", None),
        ] {
            let found = advertised(asked, &interfaces).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{asked}");
        }
    }
}
