//! The servers of a store that clusters share, each a container: what it is told.
//!
//! They are on their machine's own network, so that what they tell each other of where they are
//! is right. They let in who has a certificate of their authority, and nobody else.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::part::{Certificates, TLS};
use crate::{Container, File};

/// The server's container.
pub const STORE: &str = "rmachine-store";

/// The volume with the store's data, which outlives the container.
pub const STORE_VOLUME: &str = "rmachine-store";

/// Where the container has it.
const DATA: &str = "/data";

/// Memory of a store's container, in bytes: etcd keeps up to 2 GiB of data, Consul all of it, in
/// memory.
const MEMORY: i64 = 4 << 30;

/// A server of etcd.
pub struct Etcd {
    /// Its name among the servers.
    pub name: String,
    /// Where the others and its clients reach it.
    pub address: IpAddr,
    /// The servers that there were when it joined, itself among them, each `name=URL`; none where
    /// it begins the store.
    pub peers: Vec<String>,
    /// With which it serves, and is a client of the others.
    pub certificates: Certificates,
}

/// A server of Consul.
pub struct Consul {
    /// The machine that it is on.
    pub machine: String,
    /// Where the others and its clients reach it.
    pub address: IpAddr,
    /// The addresses of the servers that there were when it joined; none where it begins the
    /// store.
    pub peers: Vec<String>,
    /// With which it serves, and is a client of the others.
    pub certificates: Certificates,
    /// The key of what the servers tell each other of who is there, which goes without
    /// certificates: 32 bytes in base64.
    pub gossip_key: String,
}

impl Etcd {
    /// The port of its clients.
    pub const CLIENTS: u16 = 2379;
    /// The port of the other servers.
    pub const PEERS: u16 = 2380;

    /// Where the other servers reach the one at this address.
    pub fn peer_url(address: IpAddr) -> String {
        format!("https://{}", SocketAddr::new(address, Self::PEERS))
    }

    /// Its container, from this image. All is told in variables: of those a server passes over
    /// what it does not know, as one of version 3.6 does with the API of version 2.
    pub fn container(&self, image: &str) -> Container {
        let any = |port| {
            let at = SocketAddr::new(unspecified(self.address), port);
            format!("https://{at}")
        };
        let own_peer = Self::peer_url(self.address);
        let clients = SocketAddr::new(self.address, Self::CLIENTS);
        let (cluster, state) = match self.peers.is_empty() {
            true => (format!("{}={own_peer}", self.name), "new"),
            false => (self.peers.join(","), "existing"),
        };
        let file = |name: &str| format!("{TLS}/{name}.pem");
        let env = [
            ("NAME", self.name.clone()),
            ("DATA_DIR", format!("{DATA}/etcd")),
            ("LISTEN_CLIENT_URLS", any(Self::CLIENTS)),
            ("ADVERTISE_CLIENT_URLS", format!("https://{clients}")),
            ("LISTEN_PEER_URLS", any(Self::PEERS)),
            ("INITIAL_ADVERTISE_PEER_URLS", own_peer),
            ("INITIAL_CLUSTER", cluster),
            ("INITIAL_CLUSTER_STATE", state.to_owned()),
            ("TRUSTED_CA_FILE", file("ca")),
            ("CERT_FILE", file("cert")),
            ("KEY_FILE", file("key")),
            ("CLIENT_CERT_AUTH", "true".to_owned()),
            ("PEER_TRUSTED_CA_FILE", file("ca")),
            ("PEER_CERT_FILE", file("cert")),
            ("PEER_KEY_FILE", file("key")),
            ("PEER_CLIENT_CERT_AUTH", "true".to_owned()),
            // Of the engines' cluster-store.
            ("ENABLE_V2", "true".to_owned()),
            // Heartbeats are revisions, of which nobody wants the old ones.
            ("AUTO_COMPACTION_RETENTION", "1".to_owned()),
            // Of servers before 3.5, which do not start there without it.
            ("UNSUPPORTED_ARCH", "arm64".to_owned()),
        ];
        Container {
            env: env
                .map(|(name, value)| format!("ETCD_{name}={value}"))
                .into(),
            files: self.certificates.files(),
            ..container("etcd", image)
        }
    }
}

impl Consul {
    /// The port of its clients.
    pub const CLIENTS: u16 = 8501;
    /// The port of the other servers.
    pub const PEERS: u16 = 8300;

    /// What the server on a machine is called among the servers. The address is a part of it: for
    /// half a minute the others would take a new server with the name of a lost one for an impostor
    /// (its gossip refuses another address for a name until it has forgotten the dead).
    pub fn node_name(machine: &str, address: IpAddr) -> String {
        format!("{machine}-{address}").replace(['.', ':'], "-")
    }

    /// The key of what servers tell each other, made from something that nobody else knows.
    pub fn gossip_key(secret: &str) -> String {
        let mut digest = Sha256::new();
        digest.update("rmachine: what servers of Consul tell each other\0");
        digest.update(secret);
        STANDARD.encode(digest.finalize())
    }

    /// Its container, from this image.
    pub fn container(&self, image: &str) -> Container {
        let any = unspecified(self.address);
        let mut settings = json!({
            "server": true,
            "node_name": Self::node_name(&self.machine, self.address),
            "data_dir": format!("{DATA}/consul"),
            "bind_addr": any,
            "client_addr": any,
            "advertise_addr": self.address,
            // Machines that are containers share the ID of their host.
            "disable_host_node_id": true,
            "disable_update_check": true,
            // Quick to elect, as its makers advise for servers in use.
            "performance": {"raft_multiplier": 1},
            // A new server counts for the quorum once it has been well for so long.
            "autopilot": {"server_stabilization_time": "1s"},
            "ports": {"dns": -1, "serf_wan": -1, "http": -1, "https": Self::CLIENTS},
            "ca_file": format!("{TLS}/ca.pem"),
            "cert_file": format!("{TLS}/cert.pem"),
            "key_file": format!("{TLS}/key.pem"),
            "verify_incoming": true,
            "verify_outgoing": true,
            "encrypt": self.gossip_key,
        });
        match self.peers.is_empty() {
            true => settings["bootstrap_expect"] = json!(1),
            false => {
                settings["retry_join"] = json!(self.peers);
                settings["retry_interval"] = json!("2s");
            }
        }
        let mut files = self.certificates.files();
        files.push(File {
            name: "consul.json",
            mode: 0o600,
            content: settings.to_string(),
        });
        let command = [
            "agent".to_owned(),
            format!("-config-file={TLS}/consul.json"),
        ];
        Container {
            command: command.into(),
            files,
            ..container("consul", image)
        }
    }
}

fn container(program: &'static str, image: &str) -> Container {
    Container {
        name: STORE,
        image: image.to_owned(),
        // Those of registries have scripts in its place, which want rights that it has not here.
        entrypoint: Some(program),
        command: Vec::new(),
        env: Vec::new(),
        port: None,
        host_network: true,
        volumes: vec![(STORE_VOLUME.to_owned(), DATA.to_owned())],
        files_at: Some(TLS),
        files: Vec::new(),
        memory: MEMORY,
    }
}

/// All addresses of the same kind.
fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn certificates() -> Certificates {
        Certificates {
            ca: "CA".to_owned(),
            certificate: "CERT".to_owned(),
            key: "KEY".to_owned(),
        }
    }

    #[test]
    fn an_etcd_begins_a_store_or_joins_one() {
        let mut etcd = Etcd {
            name: "s1".to_owned(),
            address: "10.0.0.1".parse().unwrap(),
            peers: Vec::new(),
            certificates: certificates(),
        };
        let says = |etcd: &Etcd, line: &str| {
            let env = etcd.container("etcd:1").env;
            assert!(env.iter().any(|it| it == line), "{line}: {env:?}");
        };
        says(&etcd, "ETCD_INITIAL_CLUSTER=s1=https://10.0.0.1:2380");
        says(&etcd, "ETCD_INITIAL_CLUSTER_STATE=new");
        says(&etcd, "ETCD_LISTEN_CLIENT_URLS=https://0.0.0.0:2379");
        says(&etcd, "ETCD_ADVERTISE_CLIENT_URLS=https://10.0.0.1:2379");
        says(&etcd, "ETCD_CLIENT_CERT_AUTH=true");
        says(&etcd, "ETCD_PEER_CLIENT_CERT_AUTH=true");
        etcd.address = "fd00::1".parse().unwrap();
        etcd.peers = ["s0=https://[fd00::2]:2380", "s1=https://[fd00::1]:2380"]
            .map(str::to_owned)
            .into();
        let cluster = "s0=https://[fd00::2]:2380,s1=https://[fd00::1]:2380";
        says(&etcd, &format!("ETCD_INITIAL_CLUSTER={cluster}"));
        says(&etcd, "ETCD_INITIAL_CLUSTER_STATE=existing");
        says(&etcd, "ETCD_LISTEN_PEER_URLS=https://[::]:2380");
    }

    #[test]
    fn a_consul_begins_a_store_or_joins_one() {
        let mut consul = Consul {
            machine: "s1".to_owned(),
            address: "10.0.0.1".parse().unwrap(),
            peers: Vec::new(),
            certificates: certificates(),
            gossip_key: Consul::gossip_key("secret"),
        };
        let settings = |consul: &Consul| {
            let container = consul.container("consul:1");
            let file = container.files.last().unwrap();
            assert_eq!((file.name, file.mode), ("consul.json", 0o600));
            let told = container.command.join(" ");
            assert_eq!(told, "agent -config-file=/tls/consul.json");
            serde_json::from_str::<Value>(&file.content).unwrap()
        };
        let begins = settings(&consul);
        assert_eq!(begins["bootstrap_expect"], 1);
        assert_eq!(begins["bind_addr"], "0.0.0.0");
        assert_eq!(begins["advertise_addr"], "10.0.0.1");
        assert_eq!(begins["node_name"], "s1-10-0-0-1");
        let elsewhere = Consul::node_name("s1", "fd00::2".parse().unwrap());
        assert_eq!(elsewhere, "s1-fd00--2");
        consul.peers = vec!["10.0.0.2".to_owned()];
        let joins = settings(&consul);
        assert_eq!(joins["retry_join"], json!(["10.0.0.2"]));
        assert!(joins.get("bootstrap_expect").is_none());
        // Consul takes keys of 16, 24 or 32 bytes.
        let key = STANDARD.decode(&consul.gossip_key).unwrap();
        assert_eq!(key.len(), 32);
        assert_ne!(Consul::gossip_key("another"), consul.gossip_key);
    }
}
