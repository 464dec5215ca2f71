use std::sync::Arc;

use serde_json::Value;

use crate::directives::{RESCHEDULE_LABEL, SWARM_ID_LABEL};
use crate::json::{self, Malformed};
use crate::{Port, PublishedPort, ReschedulePolicy};

/// A container on a node, or one that is about to be created there.
///
/// Holds what filters and strategies look at, no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Resident {
    /// The engine's id; of a pending container its id within the cluster.
    pub id: Arc<str>,
    /// The name, without a slash before it.
    pub name: Arc<str>,
    /// Other names, those that links made: `other/alias`.
    pub aliases: Vec<Arc<str>>,
    /// Labels, in any order, each key once.
    pub labels: Vec<Label>,
    /// What it does.
    pub state: State,
    /// Shares of processor time as the engine counts them: 1024 are all processors.
    pub cpu_shares: u64,
    /// The memory limit in bytes, 0 for none.
    pub memory: u64,
    /// Ports of the host that are forwarded to it, wished for or assigned.
    pub published: Vec<PublishedPort>,
    /// Ports that it exposes on the host's own network.
    pub host_ports: Vec<Port>,
}

/// A label's key and value. Texts are shared: many containers have the same.
pub type Label = (Arc<str>, Arc<str>);

/// What a container does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// A node was chosen, the engine has not created it yet.
    Pending,
    /// Created, never started.
    Created,
    /// Running, or about to run again after a failure.
    Running,
    /// Paused.
    Paused,
    /// Ended, dead, or being removed.
    Exited,
}

impl State {
    /// The state by the engine's word for it; an unknown one is taken for an ended container.
    pub fn of(status: &str) -> Self {
        match status {
            "created" => Self::Created,
            "running" | "restarting" => Self::Running,
            "paused" => Self::Paused,
            _ => Self::Exited,
        }
    }

    /// Whether an engine has it and it does nothing.
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Created | Self::Exited)
    }

    /// Whether the engine has yet to create it.
    pub fn is_pending(self) -> bool {
        self == Self::Pending
    }
}

impl Resident {
    /// A running container that asks for nothing.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        let id = id.into();
        Self {
            name: Arc::clone(&id),
            id,
            aliases: Vec::new(),
            labels: Vec::new(),
            state: State::Running,
            cpu_shares: 0,
            memory: 0,
            published: Vec::new(),
            host_ports: Vec::new(),
        }
    }

    /// Reads what `GET /containers/{id}/json` answers. Aliases are not in there.
    ///
    /// On the host's network nothing is published, whatever was asked for, and exposed ports are
    /// the host's.
    pub fn from_inspect(inspect: &Value) -> Result<Self, Malformed> {
        let on_host = json::text(inspect, "/HostConfig/NetworkMode")? == "host";
        let (published, host_ports) = if on_host {
            (Vec::new(), exposed(inspect, "/Config/ExposedPorts")?)
        } else {
            // Assigned ports are not in the wish, and a stopped container has the wish only.
            let mut ports = PublishedPort::read(inspect, "/HostConfig/PortBindings")?;
            ports.extend(PublishedPort::read(inspect, "/NetworkSettings/Ports")?);
            ports.sort_unstable();
            ports.dedup();
            (ports, Vec::new())
        };
        Ok(Self {
            id: json::text(inspect, "/Id")?.into(),
            name: json::text(inspect, "/Name")?.trim_start_matches('/').into(),
            aliases: Vec::new(),
            labels: labels(inspect, "/Config/Labels")?,
            state: State::of(json::text(inspect, "/State/Status")?),
            cpu_shares: amount(inspect, "/HostConfig/CpuShares")?,
            memory: amount(inspect, "/HostConfig/Memory")?,
            published,
            host_ports,
        })
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.shared_label(key).map(|value| &**value)
    }

    /// The id that the container keeps when it moves to another node.
    pub fn swarm_id(&self) -> Option<&str> {
        self.label(SWARM_ID_LABEL)
    }

    /// What its labels say about the loss of its node; the default where they say no policy.
    pub fn reschedule_policy(&self) -> ReschedulePolicy {
        let policies = self.label(RESCHEDULE_LABEL).map(serde_json::from_str);
        let policies: Vec<String> = policies.and_then(Result::ok).unwrap_or_default();
        ReschedulePolicy::of(&policies).unwrap_or_default()
    }

    /// The value of a label, shared.
    pub fn shared_label(&self, key: &str) -> Option<&Arc<str>> {
        self.labels
            .iter()
            .find_map(|(label, value)| (**label == *key).then_some(value))
    }
}

/// An amount where a negative number means as little as 0: no limit.
pub(crate) fn amount(config: &Value, pointer: &'static str) -> Result<u64, Malformed> {
    Ok(u64::try_from(json::number(config, pointer)?).unwrap_or(0))
}

pub(crate) fn exposed(config: &Value, pointer: &'static str) -> Result<Vec<Port>, Malformed> {
    let ports = json::entries(config, pointer)?;
    Ok(ports
        .into_iter()
        .filter_map(|(port, _)| Port::parse(port))
        .collect())
}

pub(crate) fn labels(config: &Value, pointer: &'static str) -> Result<Vec<Label>, Malformed> {
    json::entries(config, pointer)?
        .into_iter()
        .map(|(key, value)| Ok((key.into(), json::text_of(Some(value), pointer)?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn port(text: &str) -> Port {
        Port::parse(text).expect(text)
    }

    #[test]
    fn an_inspected_container_is_read() {
        let inspect = json!({
            "Id": "abc",
            "Name": "/web",
            "State": {"Status": "running", "Running": true},
            "Config": {"Labels": {"a": "b", "com.docker.swarm.id": "s"}, "ExposedPorts": {"80/tcp": {}}},
            "HostConfig": {
                "NetworkMode": "bridge",
                "Memory": 1024,
                "CpuShares": 512,
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": [{"HostIp": "", "HostPort": "81"}]},
            },
            "NetworkSettings": {"Ports": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}],
                "82/tcp": null,
            }},
        });
        let resident = Resident::from_inspect(&inspect).expect("well formed");
        let published = |ip: &str, text: &str| PublishedPort {
            port: port(text),
            ip: ip.parse().ok(),
        };
        assert_eq!(
            resident,
            Resident {
                name: "web".into(),
                labels: vec![
                    ("a".into(), "b".into()),
                    ("com.docker.swarm.id".into(), "s".into())
                ],
                state: State::Running,
                cpu_shares: 512,
                memory: 1024,
                published: vec![
                    published("", "81"),
                    published("0.0.0.0", "32768"),
                    published("::", "32768"),
                ],
                ..Resident::new("abc")
            }
        );
        assert_eq!(resident.swarm_id(), Some("s"));
    }

    #[test]
    fn on_the_hosts_network_exposed_ports_count() {
        let inspect = json!({
            "Id": "abc",
            "Config": {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "1-2/tcp": {}}},
            "HostConfig": {
                "NetworkMode": "host",
                "Memory": -1,
                "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
            },
        });
        let resident = Resident::from_inspect(&inspect).expect("well formed");
        assert_eq!(resident.host_ports, [port("80/tcp"), port("53/udp")]);
        assert_eq!(resident.published, []);
        assert_eq!(resident.memory, 0);
    }

    #[test]
    fn a_field_of_another_type_is_told() {
        let inspect = json!({"Id": "abc", "HostConfig": {"Memory": "1g"}});
        let error = Resident::from_inspect(&inspect).expect_err("malformed");
        assert_eq!(error.to_string(), "HostConfig.Memory is not a whole number");
        assert_eq!(error.field(), "HostConfig.Memory");
    }

    #[test]
    fn states_are_known_by_the_engines_words() {
        let table = [
            ("created", State::Created, true),
            ("running", State::Running, false),
            ("restarting", State::Running, false),
            ("paused", State::Paused, false),
            ("exited", State::Exited, true),
            ("dead", State::Exited, true),
            ("removing", State::Exited, true),
        ];
        for (status, state, stopped) in table {
            assert_eq!(State::of(status), state, "{status}");
            assert_eq!(state.is_stopped(), stopped, "{status}");
        }
    }
}
