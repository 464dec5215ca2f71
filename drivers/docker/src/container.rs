use std::net::Ipv4Addr;

use rmachine_driver::{DriverContext, MachineState};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Config, ENGINE_PORT, SSH_PORT};
use crate::isolation::{Cgroups, Isolation};
use crate::keys;

/// How the journal calls it.
pub const RESOURCE: &str = "container";

/// Marks every container of a machine, with the machine's name.
pub const MACHINE_LABEL: &str = "io.rmachine.machine";
/// How the container is isolated: the next machine on the engine need not try again.
pub const ISOLATION_LABEL: &str = "io.rmachine.isolation";
/// Which store the machine is in.
const STORE_LABEL: &str = "io.rmachine.store";
/// Who has the machine's key.
const OWNER_LABEL: &str = "io.rmachine.owner";

/// systemd's own signal for an orderly halt.
pub const STOP_SIGNAL: &str = "SIGRTMIN+3";

/// The name of a machine's container.
pub fn container_name(context: &DriverContext) -> String {
    format!("rmachine-{}", context.name)
}

/// What a container is to be.
pub struct Spec<'a> {
    pub context: &'a DriverContext,
    pub config: &'a Config,
    pub image: &'a str,
    pub network: &'a str,
    pub place: Place,
    pub isolation: Isolation,
    pub cgroups: Cgroups,
}

/// Where a container is reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The address that stays its own; without one the engine gives any at each start.
    pub address: Option<Ipv4Addr>,
    /// The ports of the loopback that lead to its sshd and its engine.
    pub published: Option<Published>,
}

/// Ports of the loopback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    pub ssh: u16,
    pub engine: u16,
}

impl Spec<'_> {
    /// The body of the engine's `create`.
    pub fn body(&self) -> Value {
        let mut settings = self.isolation.settings(self.cgroups);
        settings.insert("NetworkMode".into(), json!(self.network));
        settings.insert(
            "Tmpfs".into(),
            json!({"/run": "", "/run/lock": "", "/tmp": "exec"}),
        );
        settings.insert("Memory".into(), json!(self.config.memory * 1024 * 1024));
        if let Some(cpus) = &self.config.cpus {
            settings.insert("NanoCpus".into(), json!(cpus.nano()));
        }
        if let Some(published) = self.place.published {
            let at = |port: u16| json!([{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]);
            settings.insert(
                "PortBindings".into(),
                json!({tcp(SSH_PORT): at(published.ssh), tcp(ENGINE_PORT): at(published.engine)}),
            );
        }
        let name = self.context.name.as_str();
        let mut endpoint = json!({"Aliases": [name]});
        if let Some(address) = self.place.address {
            endpoint["IPAMConfig"] = json!({"IPv4Address": address});
        }
        json!({
            "Image": self.image,
            "Hostname": name,
            "Entrypoint": ["/sbin/init"],
            "Cmd": [],
            "Env": ["container=docker"],
            // systemd says on its console why it cannot boot.
            "Tty": true,
            "StopSignal": STOP_SIGNAL,
            "Labels": {
                MACHINE_LABEL: name,
                STORE_LABEL: store_mark(self.context),
                OWNER_LABEL: keys::owner_mark(&self.context.machine_dir),
                ISOLATION_LABEL: self.isolation.as_str(),
            },
            "ExposedPorts": {tcp(SSH_PORT): {}, tcp(ENGINE_PORT): {}},
            // An overlay cannot lie on the container's own overlay.
            "Volumes": {"/var/lib/docker": {}, "/var/lib/containerd": {}},
            "HostConfig": settings,
            "NetworkingConfig": {"EndpointsConfig": {self.network: endpoint}},
        })
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

fn store_mark(context: &DriverContext) -> String {
    let hash = Sha256::digest(context.store_dir.as_os_str().as_encoded_bytes());
    hash.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// A container as the engine shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen(Value);

impl Seen {
    /// Takes the answer to an `inspect`.
    pub fn new(inspected: Value) -> Self {
        Self(inspected)
    }

    pub fn id(&self) -> &str {
        self.text("/Id")
    }

    pub fn image(&self) -> &str {
        self.text("/Config/Image")
    }

    pub fn network(&self) -> &str {
        self.text("/HostConfig/NetworkMode")
    }

    /// Whether it was made for this machine: by the key in the machine's directory, or by the
    /// store, whose path may have changed since.
    pub fn is_of(&self, context: &DriverContext) -> bool {
        self.label(MACHINE_LABEL) == Some(context.name.as_str())
            && (self.opens_to_key_of(context)
                || self.label(STORE_LABEL) == Some(store_mark(context).as_str()))
    }

    /// Whether the key in the machine's directory is the one that it was made for.
    pub fn opens_to_key_of(&self, context: &DriverContext) -> bool {
        let owner = keys::owner_mark(&context.machine_dir);
        owner.is_some() && self.label(OWNER_LABEL) == owner.as_deref()
    }

    pub fn isolation(&self) -> Option<Isolation> {
        self.label(ISOLATION_LABEL)?.parse().ok()
    }

    pub fn state(&self) -> MachineState {
        match self.text("/State/Status") {
            "running" => MachineState::Running,
            "paused" => MachineState::Paused,
            "restarting" => MachineState::Starting,
            "removing" => MachineState::Stopping,
            "created" | "exited" => MachineState::Stopped,
            _ => MachineState::Error,
        }
    }

    pub fn exit_code(&self) -> i64 {
        self.0["State"]["ExitCode"].as_i64().unwrap_or_default()
    }

    /// Where it is reached, as it was made.
    pub fn place(&self) -> Place {
        let network = &self.0["NetworkSettings"]["Networks"][self.network()];
        let address = network["IPAMConfig"]["IPv4Address"].as_str();
        let bound = |port| {
            let binding = &self.0["HostConfig"]["PortBindings"][tcp(port)][0];
            binding["HostPort"].as_str()?.parse().ok()
        };
        Place {
            address: address.and_then(|text| text.parse().ok()),
            published: bound(SSH_PORT)
                .zip(bound(ENGINE_PORT))
                .map(|(ssh, engine)| Published { ssh, engine }),
        }
    }

    /// The address that it has now.
    pub fn current_address(&self) -> Option<Ipv4Addr> {
        let network = &self.0["NetworkSettings"]["Networks"][self.network()];
        network["IPAddress"].as_str()?.parse().ok()
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.0["Config"]["Labels"][key].as_str()
    }

    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// What to do about a container that could not be started: make it again in another way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remake {
    /// The engine cannot give what a privileged container is given.
    WithoutPrivilege,
    /// Somebody took its address or its ports.
    ElsewhereOnTheNetwork,
    /// The network gives no fixed addresses.
    WithoutAddress,
}

impl Remake {
    /// Reads the engine's reason.
    pub fn after(message: &str) -> Option<Self> {
        let lower = message.to_lowercase();
        if crate::isolation::lacks_privilege(message) {
            Some(Self::WithoutPrivilege)
        } else if lower.contains("address already in use")
            || lower.contains("port is already allocated")
            // Somebody else's store, whose locks are its own, took the network for unused.
            || (lower.contains("network ") && lower.contains(" not found"))
        {
            Some(Self::ElsewhereOnTheNetwork)
        } else if lower.contains("user configured subnets")
            || lower.contains("user defined networks only")
        {
            Some(Self::WithoutAddress)
        } else {
            None
        }
    }
}
