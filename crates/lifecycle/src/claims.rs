//! Addresses and host keys belong to one machine of the store only.
//!
//! The host of a machine says which address an interface has, even one that the owner named. A
//! hostile host that reports the address of another machine would get a certificate for it.

use std::net::{IpAddr, SocketAddr};

use rmachine_driver::{CheckFailure, Driver, MachineName, MachineState};
use rmachine_machine::{MachineFile, MachineGuard, Record};
use rmachine_pki::{CertificateInfo, San};
use rmachine_ssh::{HostKey, pinned};

use crate::certificates::rejected;
use crate::names::Names;
use crate::{LifecycleError, Machines, bounds};

/// What identifies a machine.
#[derive(Debug, Default)]
struct Identity {
    /// Addresses that its owner or its driver named, or that were connected to.
    addresses: Vec<IpAddr>,
    /// Addresses that its host reports for interfaces.
    reported: Vec<IpAddr>,
    /// The port of its engine; `None` where rmachine only knows the engine and does not set it up,
    /// so that the same host can become a machine.
    port: Option<u16>,
    /// Its pinned SSH host keys.
    host_keys: Vec<HostKey>,
}

/// What two machines cannot both have.
#[derive(Debug, Eq, PartialEq)]
enum Conflict {
    /// Both are reached at this address and port.
    Endpoint(SocketAddr),
    /// The host of one reports an address of the other.
    Reported(IpAddr),
    /// Both have this host key.
    HostKey(String),
}

/// Compares a machine with another one. Loopback addresses are exempt: several machines on one
/// computer share them.
fn conflict(own: &Identity, other: &Identity) -> Option<Conflict> {
    let is_taken = |ip: &&IpAddr| !ip.is_loopback() && other.addresses.contains(ip);
    let reported = own.reported.iter().find(is_taken);
    if let Some(ip) = reported {
        return Some(Conflict::Reported(*ip));
    }
    let reached = own.addresses.iter().find(is_taken);
    if let (Some(ip), Some(port)) = (reached, own.port)
        && own.port == other.port
    {
        return Some(Conflict::Endpoint(SocketAddr::new(*ip, port)));
    }
    let is_local = |identity: &Identity| identity.addresses.iter().any(IpAddr::is_loopback);
    if is_local(own) || is_local(other) {
        return None;
    }
    let shared = own
        .host_keys
        .iter()
        .find(|key| other.host_keys.contains(key));
    shared.map(|key| Conflict::HostKey(key.fingerprint()))
}

impl Conflict {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Endpoint(socket) => Some(socket.ip()),
            Self::Reported(ip) => Some(*ip),
            Self::HostKey(_) => None,
        }
    }

    fn failure(&self, other: &MachineName) -> CheckFailure {
        let (subject, finding, remedy) = match self {
            Self::Endpoint(socket) => (
                format!("address {socket}"),
                format!("it belongs to the machine {other}"),
                format!(
                    "use another address; or remove the other machine's record with `rmachine rm \
                     {other}`; or, where it has the address no longer, renew its certificate with \
                     `rmachine provision {other}`"
                ),
            ),
            Self::Reported(ip) => (
                format!("address {ip}"),
                format!(
                    "the host reports it for an interface, but it belongs to the machine {other}"
                ),
                format!(
                    "check the host, and name its address in place of the interface; or, where \
                     {other} has the address no longer, renew its certificate with `rmachine \
                     provision {other}`"
                ),
            ),
            Self::HostKey(fingerprint) => (
                format!("host key {fingerprint}"),
                format!("it is the host key of the machine {other}, too"),
                format!(
                    "remove the other record of the same host with `rmachine rm {other}`; or, \
                     where the host is a copy, give it host keys of its own"
                ),
            ),
        };
        CheckFailure {
            subject,
            finding,
            remedy,
        }
    }
}

impl Machines {
    /// Checks that no other machine of the store has an address or a host key of this one. Returns
    /// warnings about machines that had the address before they stopped or moved.
    ///
    /// # Errors
    /// [`LifecycleError::Check`], which names the other machine.
    pub(crate) async fn check_claims(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        names: &Names,
    ) -> Result<Vec<String>, LifecycleError> {
        let own = Identity {
            addresses: names.reached.clone(),
            reported: names.reported.clone(),
            port: Some(driver.engine_port()),
            host_keys: self.host_keys(guard.name()),
        };
        let mut warnings = Vec::new();
        for name in self.store.names()? {
            if name == *guard.name() {
                continue;
            }
            // A record that cannot be read, or whose driver is unknown, claims nothing.
            let Ok(record) = self.store.load(&name) else {
                continue;
            };
            let Ok(other) = self.driver(&record) else {
                continue;
            };
            let identity = self.identity(&record, other.as_ref());
            let Some(conflict) = conflict(&own, &identity) else {
                continue;
            };
            let had_it_before = match conflict.address() {
                Some(ip) => has_left(other.as_ref(), ip).await,
                None => false,
            };
            if !had_it_before {
                return Err(rejected(conflict.failure(&name)));
            }
            warnings.push(format!(
                "the certificate of {name} is still valid for an address of this machine; renew it \
                 with `rmachine provision {name}` when {name} runs"
            ));
        }
        Ok(warnings)
    }

    /// What the store holds of another machine. Its certificate names the addresses of interfaces,
    /// and those that names resolved to.
    fn identity(&self, record: &Record, driver: &dyn Driver) -> Identity {
        let name = record.name();
        let is_set_up = driver.capabilities().provisioned;
        let certificate = self
            .store
            .read_file(name, MachineFile::ServerCertificate)
            .ok()
            .flatten();
        let info = certificate.and_then(|pem| CertificateInfo::read(&pem).ok());
        let sans = info.map(|info| info.sans).unwrap_or_default();
        let recorded = record.driver.get("IPAddress");
        let recorded = recorded.and_then(|text| {
            let text = text.as_str()?;
            let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
            socket.or_else(|_| text.parse()).ok()
        });
        let certified = sans.into_iter().filter_map(|san| match san {
            San::Ip(ip) if !ip.is_loopback() => Some(ip),
            San::Ip(_) | San::Dns(_) => None,
        });
        // Several machines can share the address of a load balancer.
        let shared = |ip: &IpAddr| {
            let mut sans = record.auth.server_cert_sans.iter();
            sans.any(|san| san.parse() == Ok(*ip))
        };
        Identity {
            addresses: recorded
                .into_iter()
                .chain(certified.filter(|ip| !shared(ip)))
                .collect(),
            reported: Vec::new(),
            port: is_set_up.then(|| driver.engine_port()),
            host_keys: self.host_keys(name),
        }
    }

    fn host_keys(&self, name: &MachineName) -> Vec<HostKey> {
        let path = self
            .store
            .layout()
            .machine_file(name, MachineFile::KnownHosts);
        pinned(&path, name.as_str()).unwrap_or_default()
    }
}

/// Whether a machine that its driver made has an address no longer: it is off, or has another one.
/// The address of an adopted host is what its owner named.
async fn has_left(driver: &dyn Driver, ip: IpAddr) -> bool {
    if driver.capabilities().adopted {
        return false;
    }
    let look = async {
        match driver.state().await {
            Ok(MachineState::Running) => {
                let address = driver.address().await;
                address.is_ok_and(|address| address.to_string().parse() != Ok(ip))
            }
            Ok(_) => true,
            Err(_) => false,
        }
    };
    let looked = tokio::time::timeout(bounds::CONNECT, look).await;
    looked.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> HostKey {
        let blob = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[byte]].concat();
        HostKey::from_blob(&blob).unwrap()
    }

    fn identity(addresses: &[&str], reported: &[&str], port: u16, host_key: u8) -> Identity {
        let parsed = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect();
        Identity {
            addresses: parsed(addresses),
            reported: parsed(reported),
            port: Some(port),
            host_keys: vec![key(host_key)],
        }
    }

    #[test]
    fn address_or_host_key_of_another_machine_is_a_conflict() {
        let other = identity(&["10.0.0.2", "10.1.0.2"], &[], 2376, 2);
        let local = identity(&["127.0.0.1"], &[], 2376, 2);
        let known = Identity {
            addresses: vec!["10.0.0.3".parse().unwrap()],
            ..Identity::default()
        };
        let fingerprint = key(2).fingerprint();
        let endpoint = |text: &str| Some(Conflict::Endpoint(text.parse().unwrap()));
        let reported = |text: &str| Some(Conflict::Reported(text.parse().unwrap()));
        for (own, other, expected) in [
            (identity(&["10.0.0.1"], &[], 2376, 1), &other, None),
            (
                identity(&["10.0.0.2"], &[], 2376, 1),
                &other,
                endpoint("10.0.0.2:2376"),
            ),
            // Another port of the same address is another machine behind it.
            (identity(&["10.0.0.2"], &[], 2377, 1), &other, None),
            // What the host itself reports must be its own, whatever the port.
            (
                identity(&["10.0.0.1"], &["10.1.0.2"], 2377, 1),
                &other,
                reported("10.1.0.2"),
            ),
            (
                identity(&["10.0.0.1"], &[], 2376, 2),
                &other,
                Some(Conflict::HostKey(fingerprint)),
            ),
            // Engines that rmachine only knows can become machines, and are protected as well.
            (identity(&["10.0.0.3"], &[], 2376, 1), &known, None),
            (
                identity(&["10.0.0.1"], &["10.0.0.3"], 2376, 1),
                &known,
                reported("10.0.0.3"),
            ),
            (identity(&["127.0.0.1"], &[], 2376, 2), &local, None),
            (identity(&["127.0.0.1"], &[], 2376, 2), &other, None),
        ] {
            assert_eq!(conflict(&own, other), expected, "{own:?}");
        }
    }
}
