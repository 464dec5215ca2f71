use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rmachine_companion::server::{Consul, Etcd};
use rmachine_driver::MachineName;
use rmachine_machine::{StoreKind, StoreServer};

/// What stands for a machine in the URL of a store, in place of an address.
const MACHINE: &str = "machine:";

/// The server of a store on a machine, by its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Server {
    /// The machine.
    pub(crate) machine: MachineName,
    /// What is asked of it.
    pub(crate) asked: StoreServer,
    /// Whether it has answered as a part of its store.
    pub(crate) is_ready: bool,
}

/// All servers that there are on machines of rmachine's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(pub(crate) Vec<Server>);

/// Why a store, or a machine's part in one, cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreRefusal {
    /// The machine has no server of a store.
    #[error("{name} is no machine with a store")]
    NoStore {
        /// The machine.
        name: MachineName,
    },

    /// The machine has another store.
    #[error("the store of {name} is {kind}, not {asked}")]
    OtherKind {
        /// The machine.
        name: MachineName,
        /// What it has.
        kind: StoreKind,
        /// What was asked for.
        asked: StoreKind,
    },

    /// The machine's server has not answered yet.
    #[error("the store of {name} is not ready")]
    NotReady {
        /// The machine.
        name: MachineName,
    },

    /// Nothing is known of what the server should run.
    #[error("there is no program {kind} on this computer's PATH")]
    NoProgram {
        /// Which store.
        kind: StoreKind,
    },

    /// What stands for a machine stands before what is no machine's name.
    #[error("{0:?} names no machine after machine:")]
    NoName(String),

    /// No machine can have such a store.
    #[error("{0:?} is no store of a machine: those are etcd and consul")]
    NoSuchStore(String),

    /// The machine's address does not tell where others reach its server.
    #[error("the address {address} of {name} cannot be resolved")]
    NoAddress {
        /// The machine.
        name: MachineName,
        /// Its address.
        address: String,
    },
}

/// A store by a machine that has a server of it: `etcd://machine:NAME/PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    kind: StoreKind,
    name: MachineName,
    /// With the slash that it begins with; may be empty.
    path: String,
}

impl Reference {
    /// Reads a URL; `None` for one that names servers by their addresses.
    ///
    /// # Errors
    /// [`StoreRefusal::NoName`] and [`StoreRefusal::NoSuchStore`].
    pub fn read(url: &str) -> Result<Option<Self>, StoreRefusal> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Ok(None);
        };
        let Some(named) = rest.strip_prefix(MACHINE) else {
            return Ok(None);
        };
        let end = named.find('/').unwrap_or(named.len());
        let (name, path) = named.split_at(end);
        // A host may be called so, too.
        if name.parse::<u16>().is_ok() {
            return Ok(None);
        }
        let kind = StoreKind::from_str(scheme);
        let kind = kind.map_err(|_| StoreRefusal::NoSuchStore(url.to_owned()))?;
        let name = name.parse();
        Ok(Some(Self {
            kind,
            name: name.map_err(|_| StoreRefusal::NoName(url.to_owned()))?,
            path: path.to_owned(),
        }))
    }

    /// The kind of the store.
    pub(crate) fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The machine.
    pub(crate) fn name(&self) -> &MachineName {
        &self.name
    }
}

/// Who is to be told where a store is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    /// The companion, which tries all servers in turn.
    Companion,
    /// An engine, which does so with etcd only.
    Engine,
}

impl Stores {
    /// The server on this machine.
    pub(crate) fn on(&self, name: &MachineName) -> Option<&Server> {
        self.0.iter().find(|server| server.machine == *name)
    }

    /// The servers of the store that this machine has, or had, a server of, itself first.
    ///
    /// Servers that joined each other are one store, also when one of them is gone since.
    pub(crate) fn of(&self, name: &MachineName) -> Vec<&Server> {
        let mut names = BTreeSet::from([name]);
        loop {
            let before = names.len();
            for Server { machine, asked, .. } in &self.0 {
                if let Some(join) = &asked.join
                    && (names.contains(machine) || names.contains(join))
                {
                    names.extend([machine, join]);
                }
            }
            if names.len() == before {
                break;
            }
        }
        let mut servers: Vec<_> = self.0.iter().collect();
        servers.retain(|server| names.contains(&server.machine));
        servers.sort_by_key(|server| (server.machine != *name, &server.machine));
        servers
    }

    /// The machine whose store a new server joins; `None` for one that begins a store.
    ///
    /// One that takes the place of a server that was removed joins those that are left.
    ///
    /// # Errors
    /// [`StoreRefusal`].
    pub(crate) fn joined(
        &self,
        name: &MachineName,
        kind: StoreKind,
        join: Option<&MachineName>,
    ) -> Result<Option<MachineName>, StoreRefusal> {
        let own = self.on(name).filter(|own| own.asked.kind == kind);
        let others = self.of(name).into_iter();
        let mut left = others.filter(|other| other.machine != *name);
        let join = match (join, own) {
            (Some(join), _) => join,
            // What was cut off goes on.
            (None, Some(own)) => return Ok(own.asked.join.clone()),
            (None, None) => match left.next() {
                Some(left) => &left.machine,
                None => return Ok(None),
            },
        };
        let server = self.on(join).filter(|_| join != name);
        let server = server.ok_or_else(|| StoreRefusal::NoStore { name: join.clone() })?;
        if server.asked.kind != kind {
            return Err(StoreRefusal::OtherKind {
                name: join.clone(),
                kind: server.asked.kind,
                asked: kind,
            });
        }
        match server.is_ready {
            true => Ok(Some(join.clone())),
            false => Err(StoreRefusal::NotReady { name: join.clone() }),
        }
    }

    /// Whether a store can be used by a machine that comes now.
    ///
    /// # Errors
    /// [`StoreRefusal`].
    pub(crate) fn serves(
        &self,
        reference: &Reference,
        on: &MachineName,
    ) -> Result<(), StoreRefusal> {
        self.resolved(reference, on, Client::Companion)?;
        let name = &reference.name;
        match self.of(name).iter().any(|server| server.is_ready) {
            true => Ok(()),
            false => Err(StoreRefusal::NotReady { name: name.clone() }),
        }
    }

    /// The URL with the addresses of the store's servers, as a client on this machine is told it.
    ///
    /// # Errors
    /// [`StoreRefusal`].
    pub(crate) fn resolved(
        &self,
        reference: &Reference,
        on: &MachineName,
        client: Client,
    ) -> Result<String, StoreRefusal> {
        let Reference { kind, name, path } = reference;
        let servers = self.of(name);
        let Some(one) = servers.first() else {
            return Err(StoreRefusal::NoStore { name: name.clone() });
        };
        if one.asked.kind != *kind {
            return Err(StoreRefusal::OtherKind {
                name: name.clone(),
                kind: one.asked.kind,
                asked: *kind,
            });
        }
        let known = servers.iter().filter_map(|server| {
            let address = server.asked.address?;
            let own = server.machine == *on;
            Some((!own, SocketAddr::new(address, client_port(*kind))))
        });
        let mut known: Vec<_> = known.collect();
        if known.is_empty() {
            return Err(StoreRefusal::NotReady { name: name.clone() });
        }
        if (client, *kind) == (Client::Engine, StoreKind::Consul) {
            known.sort_by_key(|(other, _)| *other);
            known.truncate(1);
        }
        let known: Vec<_> = known.iter().map(|(_, at)| at.to_string()).collect();
        Ok(format!("{kind}://{}{path}", known.join(",")))
    }
}

/// The port at which clients reach a server.
pub(crate) fn client_port(kind: StoreKind) -> u16 {
    match kind {
        StoreKind::Etcd => Etcd::CLIENTS,
        StoreKind::Consul => Consul::CLIENTS,
    }
}

/// Where servers are, as far as that is known.
pub(crate) fn addresses<'a>(servers: impl IntoIterator<Item = &'a Server>) -> Vec<IpAddr> {
    let servers = servers.into_iter();
    servers.filter_map(|server| server.asked.address).collect()
}

#[cfg(test)]
mod tests {
    use rmachine_machine::StoreSource;

    use super::*;

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    fn server(machine: &str, join: Option<&str>, address: Option<&str>) -> Server {
        Server {
            machine: name(machine),
            asked: StoreServer {
                kind: StoreKind::Etcd,
                join: join.map(name),
                source: StoreSource::Package,
                address: address.map(|text| text.parse().unwrap()),
                peers: Vec::new(),
            },
            is_ready: address.is_some(),
        }
    }

    /// Three servers of one store, and one of another.
    fn stores() -> Stores {
        Stores(vec![
            server("s1", None, Some("10.0.0.1")),
            server("s2", Some("s1"), Some("10.0.0.2")),
            server("s3", Some("s2"), Some("10.0.0.3")),
            server("t1", None, None),
        ])
    }

    #[test]
    fn reads_which_machine_is_meant() {
        let read = |url: &str| Reference::read(url).unwrap();
        for url in [
            "etcd://10.0.0.1:2379",
            "etcd://machine:2379/a",
            "zk://h",
            "h:1",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
        let reference = read("consul://machine:s1/a/b").unwrap();
        assert_eq!(reference.kind, StoreKind::Consul);
        assert_eq!(
            (reference.name, reference.path.as_str()),
            (name("s1"), "/a/b")
        );
        assert_eq!(read("etcd://machine:s1").unwrap().path, "");
        for (url, why) in [
            ("zk://machine:s1", "etcd and consul"),
            ("etcd://machine:", "names no machine"),
            ("etcd://machine:a b/c", "names no machine"),
        ] {
            let said = Reference::read(url).unwrap_err().to_string();
            assert!(said.contains(why), "{url}: {said}");
        }
    }

    #[test]
    fn servers_that_joined_each_other_are_one_store() {
        let of = |stores: &Stores, machine: &str| {
            let name = name(machine);
            let servers = stores.of(&name).into_iter();
            servers
                .map(|it| it.machine.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut stores = stores();
        assert_eq!(of(&stores, "s1"), "s1 s2 s3");
        assert_eq!(of(&stores, "s3"), "s3 s1 s2");
        assert_eq!(of(&stores, "t1"), "t1");
        assert_eq!(of(&stores, "x"), "");
        // One that is gone still names the store.
        stores.0.remove(0);
        assert_eq!(of(&stores, "s1"), "s2 s3");
        stores.0.push(server("s1", Some("s3"), None));
        assert_eq!(of(&stores, "s1"), "s1 s2 s3");
    }

    #[test]
    fn a_server_joins_what_is_there_and_of_its_kind() {
        let (etcd, consul) = (StoreKind::Etcd, StoreKind::Consul);
        let joined = |stores: &Stores, machine: &str, kind, join: Option<&str>| {
            let (machine, join) = (name(machine), join.map(name));
            match stores.joined(&machine, kind, join.as_ref()) {
                Ok(join) => join.map_or("begins".to_owned(), |join| join.to_string()),
                Err(refusal) => refusal.to_string(),
            }
        };
        let mut stores = stores();
        for (machine, kind, join, expected) in [
            ("u1", etcd, None, "begins"),
            ("u1", etcd, Some("s2"), "s2"),
            // One that is half-made is taken up again.
            ("s1", etcd, None, "begins"),
            ("s2", etcd, None, "s1"),
            ("u1", etcd, Some("x"), "x is no machine with a store"),
            ("s1", etcd, Some("s1"), "s1 is no machine with a store"),
            (
                "u1",
                consul,
                Some("s1"),
                "the store of s1 is etcd, not consul",
            ),
            ("u1", etcd, Some("t1"), "the store of t1 is not ready"),
        ] {
            let said = joined(&stores, machine, kind, join);
            assert_eq!(said, expected, "{machine} {join:?}");
        }
        // The one that began it is gone, and comes back.
        stores.0.remove(0);
        assert_eq!(joined(&stores, "s1", etcd, None), "s2");
    }

    #[test]
    fn a_machine_stands_for_all_servers_of_its_store() {
        let mut stores = stores();
        let resolved = |stores: &Stores, url: &str, on: &str, client| {
            let reference = Reference::read(url).unwrap().unwrap();
            let resolved = stores.resolved(&reference, &name(on), client);
            resolved.map_err(|refusal| refusal.to_string())
        };
        let three = "10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379";
        for client in [Client::Companion, Client::Engine] {
            assert_eq!(
                resolved(&stores, "etcd://machine:s1/c", "n1", client),
                Ok(format!("etcd://{three}/c"))
            );
        }
        for (url, said) in [
            ("etcd://machine:x", "x is no machine with a store"),
            ("etcd://machine:t1", "the store of t1 is not ready"),
            ("consul://machine:s1", "the store of s1 is etcd, not consul"),
        ] {
            let refused = resolved(&stores, url, "n1", Client::Companion);
            assert_eq!(refused, Err(said.to_owned()), "{url}");
        }
        for server in &mut stores.0 {
            server.asked.kind = StoreKind::Consul;
        }
        // An engine knows one server of Consul: its own machine's, else the one that is named.
        for (on, address) in [("n1", "10.0.0.1"), ("s3", "10.0.0.3")] {
            assert_eq!(
                resolved(&stores, "consul://machine:s1", on, Client::Engine),
                Ok(format!("consul://{address}:8501"))
            );
        }
        stores.0[0].asked.address = Some("fd00::1".parse().unwrap());
        stores.0.truncate(1);
        assert_eq!(
            resolved(&stores, "consul://machine:s1/c", "n1", Client::Companion),
            Ok("consul://[fd00::1]:8501/c".to_owned())
        );
    }
}
