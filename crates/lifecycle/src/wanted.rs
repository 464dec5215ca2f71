//! From a machine's record to what its host is to become: pure functions.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rmachine_driver::Driver;
use rmachine_machine::{EngineOptions, Record};
use rmachine_pki::{InvalidKeyType, KeyType, San};
use rmachine_provision::{
    Bind, EngineInstall, EngineSettings, Interface, InvalidSetting, TlsMaterial, Wanted,
};

use crate::LifecycleError;

/// Every name and address under which the engine is reached, once each.
pub(crate) fn sans(
    record: &Record,
    address: String,
    reached: &[IpAddr],
    interfaces: &[Interface],
) -> Vec<San> {
    let fixed = [
        record.name().to_string(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        address,
    ];
    let asked = record.auth.server_cert_sans.iter().cloned();
    // By which a manager is reached; an interface is covered by its addresses.
    let advertised = Some(record.swarm.address.clone()).filter(|name| {
        !name.is_empty() && interfaces.iter().all(|interface| interface.name != *name)
    });
    let asked = asked.chain(advertised);
    let served = record.own.store.as_ref().and_then(|server| server.address);
    let addresses = reached.iter().copied().chain(own_addresses(interfaces));
    let addresses = addresses.chain(served);
    let addresses = addresses.map(|ip| ip.to_string());
    let mut seen = BTreeSet::new();
    fixed
        .into_iter()
        .chain(asked)
        .chain(addresses)
        .filter(|name| seen.insert(name.clone()))
        .map(San::from)
        .collect()
}

pub(crate) fn wanted(
    record: &Record,
    driver: &dyn Driver,
    reached: &[IpAddr],
    tls: TlsMaterial,
) -> Result<Wanted, LifecycleError> {
    let only_v6 = !reached.is_empty() && reached.iter().all(IpAddr::is_ipv6);
    let install = record.own.engine_install.as_deref().map(str::parse);
    let install: EngineInstall = install.transpose()?.unwrap_or_default();
    let mut engine = settings(&record.engine, install)?;
    engine.port = driver.engine_port();
    engine.bind = if only_v6 { Bind::V6 } else { Bind::V4 };
    engine.labels.push(format!("provider={}", driver.name()));
    Ok(Wanted {
        hostname: Some(record.name().to_string()),
        engine,
        tls,
    })
}

/// The addresses that are the host's own: not those of a container's network, which every host
/// has alike, nor those that need the name of an interface to be reached.
fn own_addresses(interfaces: &[Interface]) -> impl Iterator<Item = IpAddr> {
    let of_engine = |name: &str| {
        ["docker", "br-", "veth", "cni", "virbr"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    interfaces
        .iter()
        .filter(move |interface| interface.name != "lo" && !of_engine(&interface.name))
        .flat_map(|interface| interface.addresses.iter().copied())
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback(),
        })
}

fn settings(
    options: &EngineOptions,
    install: EngineInstall,
) -> Result<EngineSettings, InvalidSetting> {
    let usual = EngineSettings::default();
    let or = |given: &String, usual: String| match given.is_empty() {
        true => usual,
        false => given.clone(),
    };
    Ok(EngineSettings {
        options: parsed(&options.arbitrary_flags)?,
        labels: options.labels.clone(),
        env: parsed(&options.env)?,
        insecure_registries: options.insecure_registry.clone(),
        registry_mirrors: options.registry_mirror.clone(),
        store_tls: None,
        storage_driver: Some(options.storage_driver.clone()).filter(|name| !name.is_empty()),
        install,
        install_url: or(&options.install_url, usual.install_url),
        port: usual.port,
        bind: usual.bind,
    })
}

fn parsed<T>(texts: &[String]) -> Result<Vec<T>, InvalidSetting>
where
    T: std::str::FromStr<Err = InvalidSetting>,
{
    texts.iter().map(|text| text.parse()).collect()
}

/// The kind of keys a machine was asked to have; docker-machine's machines have RSA keys, but
/// nothing in them depends on it.
pub(crate) fn key_type(record: &Record) -> Result<KeyType, InvalidKeyType> {
    match record.own.tls_key_type.as_deref() {
        Some(text) => text.parse(),
        None => Ok(KeyType::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_the_hosts_own_addresses_and_no_container_networks() {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        let interfaces = [
            interface("lo", &["127.0.0.1", "::1"]),
            interface("eth0", &["10.0.2.15", "fe80::1"]),
            interface("eth1", &["192.168.56.10", "fd00::10"]),
            interface("docker0", &["172.17.0.1"]),
            interface("br-1f2e", &["172.18.0.1"]),
            interface("veth12", &["169.254.0.1"]),
        ];
        let own: Vec<String> = own_addresses(&interfaces)
            .map(|ip| ip.to_string())
            .collect();
        assert_eq!(own, ["10.0.2.15", "192.168.56.10", "fd00::10"]);
    }
}
