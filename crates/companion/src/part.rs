//! What of the companion runs on a machine: the words of its command line. Names, flags and their
//! order are docker-machine's.

use crate::{Container, File};

/// The manager's container.
pub const MANAGER: &str = "swarm-agent-master";

/// The agent's container.
pub const AGENT: &str = "swarm-agent";

/// Where a container finds its certificates.
pub(crate) const TLS: &str = "/tls";

/// Where a manager keeps the membership of its cluster.
const MEMBERSHIP: &str = "/membership";

/// The volume with it, which outlives the container.
const MEMBERSHIP_VOLUME: &str = "swarm-membership";

/// Memory of a manager's container, in bytes: of a cluster of 1,000 nodes and 30,000 containers it
/// takes 150 MB, and up to 30 MB more for each list that is being sent.
const MANAGER_MEMORY: i64 = 2 << 30;

/// Memory of an agent's container, in bytes: it takes less than 20 MB.
const AGENT_MEMORY: i64 = 256 << 20;

/// Certificates for a container, in PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The authority that is trusted.
    pub ca: String,
    /// What is shown.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Who answers for the whole cluster.
pub struct Manager {
    /// The address of the machine at which it is reached; empty for all of them.
    pub host_ip: String,
    /// The port at which it listens, in its container and on the machine.
    pub port: u16,
    /// Where it tells others that it is: `host:port`.
    pub advertise: String,
    /// How it chooses nodes.
    pub strategy: String,
    /// Further options, each `name` or `name=value`, as `--swarm-opt` takes them.
    pub options: Vec<String>,
    /// Where the nodes are found; `None` where it keeps them itself.
    pub discovery: Option<String>,
    /// Whether experimental features are asked for.
    pub experimental: bool,
    /// Variables, each `NAME=value`.
    pub env: Vec<String>,
    /// With which it serves, and is a client of the nodes' engines.
    pub certificates: Certificates,
    /// With which it is a client of a store.
    pub store: Option<Certificates>,
}

/// Who registers a machine's engine as a node of the cluster.
pub struct Agent {
    /// Where the engine is reached: `host:port`.
    pub advertise: String,
    /// Further options, as `--swarm-join-opt` takes them.
    pub options: Vec<String>,
    /// Where it registers.
    pub discovery: String,
    /// Whether experimental features are asked for.
    pub experimental: bool,
    /// Variables, each `NAME=value`.
    pub env: Vec<String>,
    /// With which it is a client of whoever keeps the nodes: the manager itself, or a store.
    pub certificates: Option<Certificates>,
}

impl Manager {
    /// Its container, from this image.
    pub fn container(&self, image: &str) -> Container {
        let mut command = head(self.experimental, "manage");
        command.push("--tlsverify".to_owned());
        command.extend(
            ["ca", "cert", "key"].map(|file| format!("--tls{}={TLS}/{file}.pem", flag(file))),
        );
        command.extend(["-H".to_owned(), format!("tcp://:{}", self.port)]);
        command.extend(["--strategy".to_owned(), self.strategy.clone()]);
        command.extend(["--advertise".to_owned(), self.advertise.clone()]);
        command.extend(
            self.options
                .iter()
                .flat_map(|option| manager_option(option)),
        );
        let mut files = self.certificates.files();
        if let Some(store) = &self.store {
            command.extend(discovery_options("store-"));
            files.extend(store.files_named(["store-ca.pem", "store-cert.pem", "store-key.pem"]));
        }
        let mut volumes = Vec::new();
        match &self.discovery {
            Some(discovery) => command.push(discovery.clone()),
            None => {
                volumes.push((MEMBERSHIP_VOLUME.to_owned(), MEMBERSHIP.to_owned()));
                command.push(format!("--membership-file={MEMBERSHIP}/members"));
                command.push("embedded://".to_owned());
            }
        }
        Container {
            name: MANAGER,
            image: image.to_owned(),
            entrypoint: None,
            command,
            env: self.env.clone(),
            port: Some((self.host_ip.clone(), self.port)),
            host_network: false,
            volumes,
            files_at: Some(TLS),
            files,
            memory: MANAGER_MEMORY,
        }
    }
}

impl Agent {
    /// Its container, from this image.
    pub fn container(&self, image: &str) -> Container {
        let mut command = head(self.experimental, "join");
        command.extend(["--advertise".to_owned(), self.advertise.clone()]);
        command.extend(self.options.iter().map(|option| format!("--{option}")));
        if self.certificates.is_some() {
            command.extend(discovery_options(""));
        }
        command.push(self.discovery.clone());
        Container {
            name: AGENT,
            image: image.to_owned(),
            entrypoint: None,
            command,
            env: self.env.clone(),
            port: None,
            host_network: false,
            volumes: Vec::new(),
            files_at: self.certificates.as_ref().map(|_| TLS),
            files: self
                .certificates
                .as_ref()
                .map(Certificates::files)
                .unwrap_or_default(),
            memory: AGENT_MEMORY,
        }
    }
}

impl Certificates {
    pub(crate) fn files(&self) -> Vec<File> {
        self.files_named(["ca.pem", "cert.pem", "key.pem"])
    }

    fn files_named(&self, [ca, certificate, key]: [&'static str; 3]) -> Vec<File> {
        [
            (ca, 0o644, &self.ca),
            (certificate, 0o644, &self.certificate),
            (key, 0o600, &self.key),
        ]
        .map(|(name, mode, content)| File {
            name,
            mode,
            content: content.clone(),
        })
        .into()
    }
}

fn head(experimental: bool, command: &str) -> Vec<String> {
    let experimental = experimental.then(|| "--experimental".to_owned());
    experimental
        .into_iter()
        .chain([command.to_owned()])
        .collect()
}

/// Where a discovery finds what it is a client with.
fn discovery_options(prefix: &str) -> [String; 3] {
    ["ca", "cert", "key"].map(|file| {
        let option = flag(file);
        format!("--discovery-opt=kv.{option}file={TLS}/{prefix}{file}.pem")
    })
}

/// What a file is called in the names of options.
fn flag(file: &str) -> &str {
    match file {
        "ca" => "cacert",
        other => other,
    }
}

/// An option of the manager. Those of the cluster, `swarm.overcommit=0.1`, also as
/// `cluster.overcommit=0.1`, are told as the manager wants to hear them.
fn manager_option(option: &str) -> Vec<String> {
    let of_cluster = option
        .strip_prefix("cluster.")
        .or_else(|| option.strip_prefix("swarm."));
    match of_cluster {
        Some(rest) => vec!["--cluster-opt".to_owned(), format!("swarm.{rest}")],
        None => vec![format!("--{option}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificates() -> Certificates {
        Certificates {
            ca: "CA".to_owned(),
            certificate: "CERT".to_owned(),
            key: "KEY".to_owned(),
        }
    }

    fn manager(discovery: Option<&str>) -> Manager {
        Manager {
            host_ip: String::new(),
            port: 3376,
            advertise: "10.0.0.1:3376".to_owned(),
            strategy: "spread".to_owned(),
            options: ["replication", "cluster.overcommit=0.1", "heartbeat=5s"]
                .map(str::to_owned)
                .into(),
            discovery: discovery.map(str::to_owned),
            experimental: false,
            env: Vec::new(),
            certificates: certificates(),
            store: None,
        }
    }

    #[test]
    fn a_manager_is_told_what_docker_machine_tells_it() {
        let container = manager(Some("etcd://10.0.0.9:2379")).container("rswarm:1");
        assert_eq!(
            container.command.join(" "),
            "manage --tlsverify --tlscacert=/tls/ca.pem --tlscert=/tls/cert.pem \
             --tlskey=/tls/key.pem -H tcp://:3376 --strategy spread --advertise 10.0.0.1:3376 \
             --replication --cluster-opt swarm.overcommit=0.1 --heartbeat=5s etcd://10.0.0.9:2379"
        );
        assert!(container.volumes.is_empty());
    }

    #[test]
    fn a_manager_has_further_certificates_for_a_store() {
        let manager = Manager {
            store: Some(certificates()),
            ..manager(Some("etcd://10.0.0.9:2379"))
        };
        let container = manager.container("rswarm:1");
        let command = container.command.join(" ");
        assert!(
            command.ends_with(
                " --discovery-opt=kv.cacertfile=/tls/store-ca.pem \
                 --discovery-opt=kv.certfile=/tls/store-cert.pem \
                 --discovery-opt=kv.keyfile=/tls/store-key.pem etcd://10.0.0.9:2379"
            ),
            "{command}"
        );
        assert_eq!(container.files.len(), 6);
    }

    #[test]
    fn a_manager_that_keeps_its_nodes_keeps_them_on_a_volume() {
        let container = manager(None).container("rswarm:1");
        let command = container.command.join(" ");
        assert!(
            command.ends_with(" --membership-file=/membership/members embedded://"),
            "{command}"
        );
        assert_eq!(
            container.volumes,
            [("swarm-membership".to_owned(), "/membership".to_owned())]
        );
    }

    #[test]
    fn an_agent_has_certificates_only_where_it_joins_with_them() {
        let mut agent = Agent {
            advertise: "10.0.0.2:2376".to_owned(),
            options: vec!["heartbeat=5s".to_owned()],
            discovery: "embedded://10.0.0.1:3376".to_owned(),
            experimental: true,
            env: Vec::new(),
            certificates: Some(certificates()),
        };
        let container = agent.container("rswarm:1");
        assert_eq!(
            container.command.join(" "),
            "--experimental join --advertise 10.0.0.2:2376 --heartbeat=5s \
             --discovery-opt=kv.cacertfile=/tls/ca.pem --discovery-opt=kv.certfile=/tls/cert.pem \
             --discovery-opt=kv.keyfile=/tls/key.pem embedded://10.0.0.1:3376"
        );
        assert_eq!(container.files.len(), 3);
        agent.certificates = None;
        agent.discovery = "nodes://10.0.0.2:2376".to_owned();
        let container = agent.container("rswarm:1");
        assert!(container.files.is_empty());
        assert!(!container.command.join(" ").contains("kv."));
    }
}
