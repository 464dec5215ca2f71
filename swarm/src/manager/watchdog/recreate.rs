//! The create request for a lost container. Pure.
//!
//! It comes from the request that a manager signed, with what clients may change later as the
//! container's engine reported it: resource limits, restart policy and networks. Where there is no
//! verified request, all of it is what the engine reported.

use rswarm_scheduler::SWARM_ID_LABEL;
use serde_json::{Map, Value, json};

use super::eligibility::Source;

/// Length at which engines cut an ID to make a host name of it.
const SHORT_ID: usize = 12;

/// Shares of an engine's processor time that are all its processors.
const SHARES: u64 = 1024;

/// What `docker update` changes, besides the restart policy.
const UPDATABLE: [&str; 15] = [
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "KernelMemory",
    "KernelMemoryTCP",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
];

/// What the new engine is sent.
#[derive(Debug, PartialEq)]
pub struct Recreation {
    /// Body of the create request.
    pub config: Value,
    /// Networks that the container joins after that, with its endpoint in each: engines before 25
    /// take only one in a create request.
    pub connect: Vec<(String, Value)>,
}

impl Recreation {
    /// Builds the request from its source, and the last inspect of an engine with that many
    /// processors.
    pub fn new(source: &Source, inspect: &Value, cpus: u64) -> Self {
        match source {
            Source::Request(request) => Self::from_request(request.clone(), inspect, cpus),
            Source::Inspect => Self::from_inspect(inspect, cpus),
        }
    }

    fn from_request(request: Value, inspect: &Value, cpus: u64) -> Self {
        let mut config = into_object(request);
        let mut host = into_object(config.remove("HostConfig").unwrap_or_default());
        config.remove("NetworkingConfig");
        for key in UPDATABLE {
            let value = &inspect["HostConfig"][key];
            let is_set = if key.starts_with("Cpuset") {
                value.as_str().is_some_and(|set| !set.is_empty())
            } else {
                value.as_i64().is_some_and(|amount| amount != 0)
            };
            if is_set {
                host.insert(key.to_owned(), value.clone());
            } else {
                host.remove(key);
            }
        }
        let policy = &inspect["HostConfig"]["RestartPolicy"];
        if let Some(name) = policy["Name"].as_str() {
            let retries = policy["MaximumRetryCount"].as_i64().unwrap_or(0);
            let policy = json!({"Name": name, "MaximumRetryCount": retries});
            host.insert("RestartPolicy".to_owned(), policy);
        }
        Self::assemble(config, host, inspect, cpus)
    }

    fn from_inspect(inspect: &Value, cpus: u64) -> Self {
        let mut config = into_object(inspect["Config"].clone());
        let id = inspect["Id"].as_str().unwrap_or_default();
        if config.get("Hostname").and_then(Value::as_str) == id.get(..SHORT_ID) {
            config.remove("Hostname");
        }
        if let Some(Value::Object(labels)) = config.get_mut("Labels") {
            labels.remove(SWARM_ID_LABEL);
        }
        let mut host = into_object(inspect["HostConfig"].clone());
        host.remove("ContainerIDFile");
        if let Some(Value::Array(links)) = host.get_mut("Links") {
            for link in links {
                if let Some(requested) = link.as_str().map(link_as_requested) {
                    *link = json!(requested);
                }
            }
        }
        Self::assemble(config, host, inspect, cpus)
    }

    fn assemble(
        mut config: Map<String, Value>,
        mut host: Map<String, Value>,
        inspect: &Value,
        cpus: u64,
    ) -> Self {
        if let Some(shares) = host.get_mut("CpuShares") {
            let shares_of_engine = shares.as_u64().unwrap_or_default();
            *shares = json!(shares_of_engine.saturating_mul(cpus) / SHARES);
        }
        let mode = host.get("NetworkMode").and_then(Value::as_str);
        let mode = mode.unwrap_or("default").to_owned();
        let (first, connect) = endpoints(inspect, &mode);
        if let Some((name, _)) = &first {
            // The ID of a network is another one on another engine.
            host.insert("NetworkMode".to_owned(), json!(name));
        }
        config.insert("HostConfig".to_owned(), Value::Object(host));
        if let Some((name, endpoint)) = first {
            let endpoints = Map::from_iter([(name, endpoint)]);
            let networking = json!({ "EndpointsConfig": endpoints });
            config.insert("NetworkingConfig".to_owned(), networking);
        }
        Self {
            config: Value::Object(config),
            connect,
        }
    }

    /// Names of the networks that it is in, except for the engine's own.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        let first = self.config["NetworkingConfig"]["EndpointsConfig"].as_object();
        let first = first.into_iter().flat_map(|first| first.keys());
        let further = self.connect.iter().map(|(name, _)| name);
        first.chain(further).map(String::as_str)
    }
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

type Endpoint = (String, Value);

/// The network of the container's mode with its endpoint there, and the others. The engine's own
/// networks are joined without a request. A container that has the host's network, another
/// container's or none can join no other.
fn endpoints(inspect: &Value, mode: &str) -> (Option<Endpoint>, Vec<Endpoint>) {
    let short_id = inspect["Id"].as_str().and_then(|id| id.get(..SHORT_ID));
    let networks = inspect["NetworkSettings"]["Networks"].as_object();
    let (mut first, mut others) = (None, Vec::new());
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return (None, others);
    }
    for (name, network) in networks.into_iter().flatten() {
        let is_own = matches!(name.as_str(), "bridge" | "default" | "host" | "none");
        // Such a name would be another network mode.
        if is_own || name.contains(':') {
            continue;
        }
        let mut endpoint = Map::new();
        for key in ["IPAMConfig", "Links", "Aliases", "DriverOpts"] {
            let value = &network[key];
            if !value.is_null() {
                endpoint.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(Value::Array(aliases)) = endpoint.get_mut("Aliases") {
            aliases.retain(|alias| alias.as_str() != short_id);
        }
        let endpoint = (name.clone(), Value::Object(endpoint));
        if name == mode || network["NetworkID"] == *mode {
            first = Some(endpoint);
        } else {
            others.push(endpoint);
        }
    }
    (first, others)
}

/// `/db:/web/alias` was requested as `db:alias`.
fn link_as_requested(link: &str) -> String {
    let (to, alias) = link.split_once(':').unwrap_or((link, link));
    let alias = alias.rsplit('/').next().unwrap_or_default();
    format!("{}:{alias}", to.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    fn inspected() -> Value {
        json!({
            "Id": ID,
            "Name": "/web",
            "Config": {
                "Hostname": "0123456789ab", "Image": "nginx:1", "Env": ["A=b"],
                "Labels": {"com.docker.swarm.id": "s", "a": "b"},
            },
            "HostConfig": {
                "NetworkMode": "front", "CpuShares": 512, "ContainerIDFile": "",
                "Links": ["/db:/web/data"], "Memory": 5,
            },
            "NetworkSettings": {"Networks": {
                "back": {"NetworkID": "b", "Aliases": ["0123456789ab"], "IPAddress": "10.1.0.2"},
                "front": {
                    "NetworkID": "f", "IPAMConfig": {"IPv4Address": "10.0.0.9"},
                    "Aliases": ["www", "0123456789ab"], "Links": null,
                },
            }},
        })
    }

    #[test]
    fn the_same_is_asked_for_again() {
        let again = Recreation::new(&Source::Inspect, &inspected(), 4);
        assert_eq!(
            again.config,
            json!({
                "Image": "nginx:1", "Env": ["A=b"],
                "Labels": {"a": "b"},
                "HostConfig": {
                    "NetworkMode": "front", "CpuShares": 2, "Links": ["db:data"], "Memory": 5,
                },
                "NetworkingConfig": {"EndpointsConfig": {
                    "front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["www"]},
                }},
            })
        );
        assert_eq!(again.connect, [("back".to_owned(), json!({"Aliases": []}))]);
        assert_eq!(again.networks().collect::<Vec<_>>(), ["front", "back"]);
    }

    #[test]
    fn a_name_of_its_own_stays() {
        let mut inspect = inspected();
        inspect["Config"]["Hostname"] = json!("www");
        let again = Recreation::new(&Source::Inspect, &inspect, 1);
        assert_eq!(again.config["Hostname"], "www");
    }

    #[test]
    fn the_engines_own_networks_are_not_asked_for() {
        let inspect = json!({
            "Id": ID,
            "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "x"}}},
        });
        let again = Recreation::new(&Source::Inspect, &inspect, 1);
        assert!(again.connect.is_empty());
        assert_eq!(again.config.get("NetworkingConfig"), None);
        assert_eq!(again.config["HostConfig"]["NetworkMode"], "default");
    }

    /// What a client requested for the container of [`inspected`].
    fn requested() -> Source {
        Source::Request(json!({
            "Image": "nginx:1", "Env": ["A=b"], "Labels": {"a": "b"},
            "HostConfig": {
                "NetworkMode": "front", "CpuShares": 1, "Memory": 9, "Links": ["db:data"],
                "RestartPolicy": {"Name": "always"}, "Binds": ["/srv:/srv"],
            },
            "NetworkingConfig": {"EndpointsConfig": {"front": {}, "gone": {}}},
        }))
    }

    #[test]
    fn signed_request_gets_only_what_clients_may_change_later() {
        let mut inspect = inspected();
        inspect["Config"]["Image"] = json!("evil:1");
        inspect["Config"]["Cmd"] = json!(["evil"]);
        inspect["Config"]["Hostname"] = json!("evil");
        inspect["HostConfig"] = json!({
            "CpuShares": 512, "Memory": 5, "MemorySwap": -1, "PidsLimit": "x", "CpuPeriod": 0,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3, "Evil": 1},
            "Privileged": true, "Binds": ["/:/host"], "NetworkMode": "host", "PidMode": "host",
            "Devices": [{"PathOnHost": "/dev/sda"}], "CapAdd": ["ALL"],
        });
        let again = Recreation::new(&requested(), &inspect, 4);
        assert_eq!(
            again.config,
            json!({
                "Image": "nginx:1", "Env": ["A=b"], "Labels": {"a": "b"},
                "HostConfig": {
                    "NetworkMode": "front", "CpuShares": 2, "Memory": 5, "MemorySwap": -1,
                    "Links": ["db:data"], "Binds": ["/srv:/srv"],
                    "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
                },
                "NetworkingConfig": {"EndpointsConfig": {
                    "front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["www"]},
                }},
            })
        );
        assert_eq!(again.connect, [("back".to_owned(), json!({"Aliases": []}))]);
    }

    #[test]
    fn reported_networks_do_not_change_the_network_mode() {
        let networks = json!({
            "container:db": {"NetworkID": "front"}, "host": {"NetworkID": "front"},
            "default": {"NetworkID": "front"},
        });
        let mut inspect = inspected();
        inspect["NetworkSettings"]["Networks"] = networks;
        let again = Recreation::new(&requested(), &inspect, 1);
        assert_eq!(again.config["HostConfig"]["NetworkMode"], "front");
        assert!(again.connect.is_empty());
        for mode in ["host", "none", "container:db"] {
            let request = json!({"Image": "x", "HostConfig": {"NetworkMode": mode}});
            let again = Recreation::new(&Source::Request(request), &inspected(), 1);
            assert_eq!(again.config["HostConfig"]["NetworkMode"], mode);
            assert_eq!(again.networks().count(), 0, "{mode}");
        }
    }
}
