use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use rmachine_driver::MachineName;

use crate::SwarmRequest;

/// The discovery of a master that keeps the nodes of its cluster itself.
pub const EMBEDDED: &str = "embedded://";

/// The stores that can say which of several masters leads.
const ELECTING: [&str; 3] = ["etcd://", "consul://", "zk://"];

/// A machine that is the master of a cluster and keeps its nodes itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Master {
    /// The machine.
    pub name: MachineName,
    /// Where others register, `embedded://host:port`; `None` until it is made.
    pub discovery: Option<String>,
    /// Whether somebody works on it, so that it is worth waiting for.
    pub at_work: bool,
}

/// Who keeps the nodes of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keeper {
    /// The discovery, as the record has it; bare [`EMBEDDED`] where a master keeps the nodes whose
    /// address is not known yet.
    pub(crate) discovery: String,
    /// The master, where it is another machine of the store.
    pub(crate) master: Option<MachineName>,
}

/// Why a machine cannot be a part of a cluster.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SwarmRefusal {
    /// Two masters need a store that both can reach.
    #[error("{master} keeps the nodes of its cluster itself, so no second master can know them")]
    SecondMaster {
        /// The one that there is.
        master: MachineName,
    },

    /// Nobody keeps nodes.
    #[error("there is no cluster to join: no machine here is a master that keeps the nodes itself")]
    NoMaster,

    /// It is not clear which cluster is meant.
    #[error("there are several clusters to join, those of {}", listed(.masters))]
    SeveralMasters {
        /// Their masters.
        masters: Vec<MachineName>,
    },

    /// The machine that is to be joined is no master that keeps nodes.
    #[error("{name} is no master that keeps the nodes of its cluster itself")]
    NotAMaster {
        /// The machine.
        name: MachineName,
    },

    /// The master is not made to its end, and nobody works on it.
    #[error("the master {name} is not ready, so nobody can join it")]
    MasterNotReady {
        /// The master.
        name: MachineName,
    },

    /// Several masters have to agree on who leads, somewhere.
    #[error("replication takes a store that says which master leads, and {discovery} is none")]
    NoElection {
        /// Where the nodes would be kept.
        discovery: String,
    },

    /// A master keeps its own nodes, or those of a store.
    #[error("a master cannot keep its nodes with another one, at {discovery}")]
    ElsewhereEmbedded {
        /// What was asked for.
        discovery: String,
    },
}

/// Who keeps the nodes of a machine's cluster: what its record says from now on.
///
/// `masters` are the other machines of the store that keep nodes themselves.
///
/// # Errors
/// [`SwarmRefusal`].
pub(crate) fn keeper(request: &SwarmRequest, masters: &[Master]) -> Result<Keeper, SwarmRefusal> {
    let itself = |discovery: &str| Keeper {
        discovery: discovery.to_owned(),
        master: None,
    };
    let options = &request.options;
    let asked = options.discovery.as_str();
    let replicates = options
        .arbitrary_flags
        .iter()
        .any(|flag| flag == "replication");
    let elects = ELECTING.iter().any(|scheme| asked.starts_with(scheme));
    if options.master && replicates && !elects {
        let discovery = if asked.is_empty() { EMBEDDED } else { asked };
        return Err(SwarmRefusal::NoElection {
            discovery: discovery.to_owned(),
        });
    }
    let is_embedded = asked.starts_with(EMBEDDED);
    match (asked, options.master) {
        (EMBEDDED, true) => Ok(itself(EMBEDDED)),
        ("", true) => match masters.first() {
            Some(master) => Err(SwarmRefusal::SecondMaster {
                master: master.name.clone(),
            }),
            None => Ok(itself(EMBEDDED)),
        },
        ("" | EMBEDDED, false) => to_join(request.join.as_ref(), masters),
        (elsewhere, true) if is_embedded => Err(SwarmRefusal::ElsewhereEmbedded {
            discovery: elsewhere.to_owned(),
        }),
        (given, _) => Ok(itself(given)),
    }
}

fn to_join(named: Option<&MachineName>, masters: &[Master]) -> Result<Keeper, SwarmRefusal> {
    let master = match (named, masters) {
        (Some(name), _) => masters
            .iter()
            .find(|master| master.name == *name)
            .ok_or_else(|| SwarmRefusal::NotAMaster { name: name.clone() })?,
        (None, []) => return Err(SwarmRefusal::NoMaster),
        (None, [master]) => master,
        (None, several) => {
            return Err(SwarmRefusal::SeveralMasters {
                masters: several.iter().map(|master| master.name.clone()).collect(),
            });
        }
    };
    let discovery = match (&master.discovery, master.at_work) {
        (Some(discovery), _) => discovery.clone(),
        (None, true) => EMBEDDED.to_owned(),
        (None, false) => {
            return Err(SwarmRefusal::MasterNotReady {
                name: master.name.clone(),
            });
        }
    };
    Ok(Keeper {
        discovery,
        master: Some(master.name.clone()),
    })
}

fn listed(names: &[MachineName]) -> String {
    let names: Vec<_> = names.iter().map(MachineName::as_str).collect();
    names.join(", ")
}

/// Where a manager listens on its machine: `--swarm-host`, `tcp://IP:PORT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SwarmHost {
    /// The address of the machine; the unspecified one for all.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// The text is not where a manager can listen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not where a manager can listen, such as tcp://0.0.0.0:3376")]
pub struct InvalidSwarmHost(pub String);

impl Default for SwarmHost {
    /// All addresses, and docker-machine's port.
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 3376,
        }
    }
}

impl SwarmHost {
    /// The address to bind, in an engine's words: empty for all.
    pub(crate) fn bound_ip(&self) -> String {
        match self.ip.is_unspecified() {
            true => String::new(),
            false => self.ip.to_string(),
        }
    }
}

impl FromStr for SwarmHost {
    type Err = InvalidSwarmHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.strip_prefix("tcp://").map(str::parse::<SocketAddr>);
        match address {
            Some(Ok(address)) if address.port() != 0 => Ok(Self {
                ip: address.ip(),
                port: address.port(),
            }),
            _ => Err(InvalidSwarmHost(text.to_owned())),
        }
    }
}

impl fmt::Display for SwarmHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}", SocketAddr::new(self.ip, self.port))
    }
}

#[cfg(test)]
mod tests {
    use rmachine_machine::SwarmOptions;

    use super::*;

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    fn master(text: &str) -> Master {
        Master {
            name: name(text),
            discovery: Some(format!("embedded://{text}:3376")),
            at_work: false,
        }
    }

    fn asked(is_master: bool, discovery: &str, join: Option<&str>, flags: &[&str]) -> SwarmRequest {
        SwarmRequest {
            options: SwarmOptions {
                is_swarm: true,
                agent: true,
                master: is_master,
                discovery: discovery.to_owned(),
                arbitrary_flags: flags.iter().map(ToString::to_string).collect(),
                ..SwarmOptions::default()
            },
            join: join.map(name),
            ..SwarmRequest::default()
        }
    }

    #[test]
    fn the_first_master_keeps_the_nodes_and_others_join_it() {
        let (none, one, two) = ([], [master("m1")], [master("m1"), master("m2")]);
        let unready = [Master {
            discovery: None,
            ..master("m1")
        }];
        let in_the_making = [Master {
            at_work: true,
            ..unready[0].clone()
        }];
        let no_election = |discovery: &str| SwarmRefusal::NoElection {
            discovery: discovery.to_owned(),
        };
        let kept = |discovery: &str| {
            Ok(Keeper {
                discovery: discovery.to_owned(),
                master: None,
            })
        };
        let joined = |discovery: &str, master: &str| {
            Ok(Keeper {
                discovery: discovery.to_owned(),
                master: Some(name(master)),
            })
        };
        let rows: [(SwarmRequest, &[Master], Result<Keeper, SwarmRefusal>); 15] = [
            (asked(true, "", None, &[]), &none, kept("embedded://")),
            (
                asked(true, "", None, &[]),
                &one,
                Err(SwarmRefusal::SecondMaster { master: name("m1") }),
            ),
            (
                asked(true, "embedded://", None, &[]),
                &one,
                kept("embedded://"),
            ),
            (
                asked(true, "etcd://e:2379", None, &["replication"]),
                &one,
                kept("etcd://e:2379"),
            ),
            (
                asked(true, "", None, &["replication"]),
                &none,
                Err(no_election("embedded://")),
            ),
            (
                asked(true, "nodes://n:1", None, &["replication"]),
                &none,
                Err(no_election("nodes://n:1")),
            ),
            (
                asked(true, "embedded://m1:3376", None, &[]),
                &one,
                Err(SwarmRefusal::ElsewhereEmbedded {
                    discovery: "embedded://m1:3376".to_owned(),
                }),
            ),
            (
                asked(false, "", None, &[]),
                &none,
                Err(SwarmRefusal::NoMaster),
            ),
            (
                asked(false, "", None, &[]),
                &one,
                joined("embedded://m1:3376", "m1"),
            ),
            (
                asked(false, "", None, &[]),
                &two,
                Err(SwarmRefusal::SeveralMasters {
                    masters: vec![name("m1"), name("m2")],
                }),
            ),
            (
                asked(false, "", Some("m2"), &[]),
                &two,
                joined("embedded://m2:3376", "m2"),
            ),
            (
                asked(false, "", Some("m3"), &[]),
                &two,
                Err(SwarmRefusal::NotAMaster { name: name("m3") }),
            ),
            (
                asked(false, "", None, &[]),
                &unready,
                Err(SwarmRefusal::MasterNotReady { name: name("m1") }),
            ),
            (
                asked(false, "", Some("m1"), &[]),
                &in_the_making,
                joined("embedded://", "m1"),
            ),
            (
                asked(false, "token://abc", None, &[]),
                &none,
                kept("token://abc"),
            ),
        ];
        for (row, (request, masters, expected)) in rows.into_iter().enumerate() {
            assert_eq!(keeper(&request, masters), expected, "row {row}");
        }
    }

    #[test]
    fn reads_where_a_manager_listens() {
        let host: SwarmHost = "tcp://0.0.0.0:3376".parse().unwrap();
        assert_eq!((host.bound_ip().as_str(), host.port), ("", 3376));
        let host: SwarmHost = "tcp://[fd00::1]:4000".parse().unwrap();
        assert_eq!(host.bound_ip(), "fd00::1");
        assert_eq!(host.to_string(), "tcp://[fd00::1]:4000");
        for text in [
            "",
            "0.0.0.0:3376",
            "tcp://h:1",
            "tcp://0.0.0.0",
            "tcp://1.2.3.4:0",
        ] {
            assert!(text.parse::<SwarmHost>().is_err(), "{text}");
        }
    }
}
