use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use rmachine_driver::{DriverError, Operation, Resource, ResourceJournal};
use rmachine_engine::EngineError;
use serde_json::{Value, json};

use crate::container::{Place, Published};
use crate::daemon::Daemon;
use crate::failure::{backend, backend_with_hint};
use crate::network::{self, Layout, Subnet};

/// The network that machines share unless told otherwise.
pub const SHARED: &str = "rmachine";

/// The kind of resource that a stake in the shared network is.
pub const RESOURCE: &str = "network";

/// Marks the shared network as ours.
const NETWORK_LABEL: &str = "io.rmachine.network";

/// How often the shared network is looked for, and made where it is missing.
const LOOKS: usize = 10;

/// How long a network of another process may take from its subnet to its name.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A network to attach a machine to, as it is now.
pub struct Network {
    name: String,
    subnet: Option<Subnet>,
    given_by_engine: Option<Subnet>,
    taken: BTreeSet<Ipv4Addr>,
}

impl Network {
    /// Looks at the user's network.
    pub async fn of_user(daemon: &Daemon, name: &str) -> Result<Self, DriverError> {
        match daemon.network(name).await {
            Ok(Some(seen)) => Self::read(daemon, &seen).await,
            Ok(None) => Err(backend(
                Operation::Create,
                format!("the engine has no network {name}"),
            )),
            Err(error) => Err(failed(error)),
        }
    }

    /// Looks at the network that machines share, making it where it is missing.
    ///
    /// The caller holds the network lock until the machine's container exists.
    pub async fn shared(
        daemon: &Daemon,
        resources: &dyn ResourceJournal,
    ) -> Result<Self, DriverError> {
        resources.about_to_make(&Resource::new(RESOURCE, SHARED))?;
        let mut refused = Vec::new();
        for _ in 0..LOOKS {
            match daemon.network(SHARED).await.map_err(failed)? {
                Some(seen) if is_ours(&seen) => return Self::read(daemon, &seen).await,
                Some(_) => {
                    return Err(backend_with_hint(
                        Operation::Create,
                        format!("the engine has a network {SHARED} that rmachine did not make"),
                        "give a network with --docker-network",
                    ));
                }
                None => make(daemon, &mut refused).await?,
            }
        }
        Err(backend(
            Operation::Create,
            format!("the network {SHARED} could not be made in {LOOKS} attempts"),
        ))
    }

    async fn read(daemon: &Daemon, seen: &Value) -> Result<Self, DriverError> {
        let name = seen["Name"].as_str().unwrap_or_default().to_owned();
        let ranges = subnets(seen);
        let own = ranges.first();
        let mut taken: BTreeSet<Ipv4Addr> = gateways(seen).collect();
        let attached = seen["Containers"].as_object().into_iter().flatten();
        taken.extend(attached.filter_map(|(_, c)| {
            let address = c["IPv4Address"].as_str()?.split('/').next()?;
            address.parse::<Ipv4Addr>().ok()
        }));
        // A container that is off keeps its address only in its own settings.
        for container in daemon.containers().await.map_err(failed)? {
            let endpoint = &container["NetworkSettings"]["Networks"][&name];
            let texts = [
                &endpoint["IPAMConfig"]["IPv4Address"],
                &endpoint["IPAddress"],
            ];
            taken.extend(
                texts
                    .iter()
                    .filter_map(|t| t.as_str()?.parse::<Ipv4Addr>().ok()),
            );
        }
        Ok(Self {
            subnet: own.map(|own| own.0),
            given_by_engine: own.and_then(|own| own.1),
            name,
            taken,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Chooses where a machine on it is reached.
    pub fn place(&self, fixed: bool, publish: bool) -> Result<Place, DriverError> {
        // The engine's first network takes no wishes.
        let subnet = self.subnet.filter(|_| fixed && self.name != "bridge");
        let address = match subnet {
            None => None,
            Some(subnet) => {
                let chosen = network::choose_address(subnet, self.given_by_engine, &self.taken);
                let none_left = || {
                    backend(
                        Operation::Create,
                        format!("the network {} has no free address in {subnet}", self.name),
                    )
                };
                Some(chosen.ok_or_else(none_left)?)
            }
        };
        let published = publish.then(free_ports).transpose()?;
        Ok(Place { address, published })
    }
}

/// Takes the shared network away when no container is attached to it any more.
///
/// The caller holds the network lock.
pub async fn remove_unused(daemon: &Daemon) -> Result<(), EngineError> {
    let Some(seen) = daemon.network(SHARED).await? else {
        return Ok(());
    };
    let uses = |container: &Value| container["NetworkSettings"]["Networks"][SHARED].is_object();
    if !is_ours(&seen) || daemon.containers().await?.iter().any(uses) {
        return Ok(());
    }
    daemon.remove_network(SHARED).await
}

/// Makes the shared network, unless another rmachine is faster or the subnet meets one that nobody
/// shows; that one joins `refused`, and the caller looks again.
async fn make(daemon: &Daemon, refused: &mut Vec<Subnet>) -> Result<(), DriverError> {
    let mut taken = refused.clone();
    for other in daemon.networks().await.map_err(failed)? {
        taken.extend(subnets(&other).into_iter().map(|(subnet, _)| subnet));
    }
    // Where the engine runs in a virtual machine of its own there may be no such file.
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    taken.extend(network::routed(&routes));
    let layout = network::choose_layout(&taken).ok_or_else(|| {
        backend_with_hint(
            Operation::Create,
            "no private subnet is free for the machines' network".to_owned(),
            "make a network on the engine and give it with --docker-network",
        )
    })?;
    match daemon.make_network(&network_body(layout)).await {
        Err(EngineError::Refused { status: 409, .. }) => Ok(()),
        Err(EngineError::Refused { message, .. }) if message.contains("overlaps") => {
            // The other network may be this very one, in the making.
            tokio::time::sleep(LOOK_PAUSE).await;
            refused.push(layout.subnet);
            Ok(())
        }
        other => other.map_err(failed),
    }
}

fn network_body(layout: Layout) -> Value {
    json!({
        "Name": SHARED,
        "CheckDuplicate": true,
        "Driver": "bridge",
        "Labels": {NETWORK_LABEL: "shared"},
        "IPAM": {"Config": [{
            "Subnet": layout.subnet.to_string(),
            "IPRange": layout.given_by_engine.to_string(),
            "Gateway": layout.gateway,
        }]},
    })
}

fn is_ours(network: &Value) -> bool {
    network["Labels"][NETWORK_LABEL].is_string()
}

/// The IPv4 subnets of a network, each with the range that the engine gives from.
fn subnets(network: &Value) -> Vec<(Subnet, Option<Subnet>)> {
    let configs = network["IPAM"]["Config"].as_array().into_iter().flatten();
    configs
        .filter_map(|config| {
            let parsed = |key: &str| config[key].as_str()?.parse().ok();
            Some((parsed("Subnet")?, parsed("IPRange")))
        })
        .collect()
}

fn gateways(network: &Value) -> impl Iterator<Item = Ipv4Addr> {
    let configs = network["IPAM"]["Config"].as_array().into_iter().flatten();
    let own = configs
        .clone()
        .filter_map(|config| config["Gateway"].as_str());
    let auxiliary = configs
        .filter_map(|config| config["AuxiliaryAddresses"].as_object())
        .flatten()
        .filter_map(|(_, address)| address.as_str());
    own.chain(auxiliary)
        .filter_map(|text| text.split('/').next()?.parse().ok())
}

/// Two ports of the loopback that nobody listens at. Both are held until both are known, so that
/// they differ.
fn free_ports() -> Result<Published, DriverError> {
    let listen = || -> std::io::Result<(TcpListener, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    let both = listen().and_then(|ssh| Ok((ssh, listen()?)));
    let ((_held_ssh, ssh), (_held_engine, engine)) = both.map_err(|error| {
        backend(
            Operation::Create,
            format!("no free port on the loopback: {error}"),
        )
    })?;
    Ok(Published { ssh, engine })
}

fn failed(error: EngineError) -> DriverError {
    crate::failure::engine(Operation::Create, "setting up the network", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_engine_shows_of_a_network() {
        let shown = json!({
            "Name": "lan", "Labels": {},
            "IPAM": {"Config": [
                {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
                {"Subnet": "192.168.9.0/24", "Gateway": "192.168.9.1/24",
                 "AuxiliaryAddresses": {"printer": "192.168.9.9"}},
            ]},
        });
        assert_eq!(subnets(&shown), [("192.168.9.0/24".parse().unwrap(), None)]);
        let taken: Vec<String> = gateways(&shown).map(|ip| ip.to_string()).collect();
        assert_eq!(taken, ["192.168.9.1", "192.168.9.9"]);
        assert!(!is_ours(&shown));
    }

    #[test]
    fn our_network_is_known_again_by_what_we_made() {
        let layout = network::choose_layout(&[]).unwrap();
        let body = network_body(layout);
        assert!(is_ours(&body));
        assert_eq!(
            subnets(&body),
            [(layout.subnet, Some(layout.given_by_engine))]
        );
    }

    #[test]
    fn the_first_network_takes_no_address() {
        let network = |name: &str| Network {
            name: name.to_owned(),
            subnet: Some("172.17.0.0/16".parse().unwrap()),
            given_by_engine: None,
            taken: BTreeSet::new(),
        };
        assert_eq!(network("bridge").place(true, false).unwrap().address, None);
        assert_eq!(network("lan").place(false, false).unwrap().address, None);
        assert!(network("lan").place(true, false).unwrap().address.is_some());
        let published = network("lan").place(true, true).unwrap().published.unwrap();
        assert_ne!(published.ssh, published.engine);
    }
}
