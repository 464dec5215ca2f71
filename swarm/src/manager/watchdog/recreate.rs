//! From what an engine told of a container to what another one is asked for. Pure.

use rswarm_scheduler::SWARM_ID_LABEL;
use serde_json::{Map, Value, json};

use crate::cluster::REPLACES_LABEL;

/// How many containers before it a container knows.
const GENERATIONS: usize = 8;

/// The length at which engines cut an id to make a host name of it.
const SHORT_ID: usize = 12;

/// A processor in the engine's shares, times the engine's processors.
const SHARES: u64 = 1024;

/// What is asked of the new engine.
#[derive(Debug, PartialEq)]
pub struct Recreation {
    /// The body of the create request.
    pub config: Value,
    /// The networks that the container joins after that, with its place in each: engines before
    /// 25 take only one at once.
    pub connect: Vec<(String, Value)>,
}

impl Recreation {
    /// Reads an inspected container of an engine with so many processors.
    pub fn of(inspect: &Value, cpus: u64) -> Self {
        let id = inspect["Id"].as_str().unwrap_or_default();
        let mut config = match &inspect["Config"] {
            Value::Object(config) => config.clone(),
            _ => Map::new(),
        };
        if config.get("Hostname").and_then(Value::as_str) == id.get(..SHORT_ID) {
            config.remove("Hostname");
        }
        let mut labels = match config.get("Labels") {
            Some(Value::Object(labels)) => labels.clone(),
            _ => Map::new(),
        };
        labels.remove(SWARM_ID_LABEL);
        let before = labels.get(REPLACES_LABEL).and_then(Value::as_str);
        let before = before.into_iter().flat_map(|ids| ids.split(','));
        let replaces: Vec<&str> = [id].into_iter().chain(before).take(GENERATIONS).collect();
        labels.insert(REPLACES_LABEL.to_owned(), json!(replaces.join(",")));
        config.insert("Labels".to_owned(), Value::Object(labels));

        let mut host = match &inspect["HostConfig"] {
            Value::Object(host) => host.clone(),
            _ => Map::new(),
        };
        host.remove("ContainerIDFile");
        if let Some(shares) = host.get_mut("CpuShares") {
            let asked = shares.as_u64().unwrap_or_default().saturating_mul(cpus) / SHARES;
            *shares = json!(asked);
        }
        if let Some(Value::Array(links)) = host.get_mut("Links") {
            for link in links {
                if let Some(asked) = link.as_str().map(link_as_asked) {
                    *link = json!(asked);
                }
            }
        }
        let mode = host.get("NetworkMode").and_then(Value::as_str);
        let mode = mode.unwrap_or("default").to_owned();
        let (first, connect) = endpoints(inspect, &mode);
        if let Some((name, _)) = &first {
            // An id of a network that is elsewhere another one.
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

    /// The names of the networks that it is in, the engine's own left out.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        let first = self.config["NetworkingConfig"]["EndpointsConfig"].as_object();
        let first = first.into_iter().flat_map(|first| first.keys());
        let further = self.connect.iter().map(|(name, _)| name);
        first.chain(further).map(String::as_str)
    }
}

type Endpoint = (String, Value);

/// The network of the container's mode with its place in it, and the others. Those of the engine
/// itself are joined without being asked for.
fn endpoints(inspect: &Value, mode: &str) -> (Option<Endpoint>, Vec<Endpoint>) {
    let short_id = inspect["Id"].as_str().and_then(|id| id.get(..SHORT_ID));
    let networks = inspect["NetworkSettings"]["Networks"].as_object();
    let (mut first, mut others) = (None, Vec::new());
    for (name, network) in networks.into_iter().flatten() {
        if matches!(name.as_str(), "bridge" | "host" | "none") {
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
        match name == mode || network["NetworkID"] == *mode {
            true => first = Some(endpoint),
            false => others.push(endpoint),
        }
    }
    (first, others)
}

/// `/db:/web/alias` was asked for as `db:alias`.
fn link_as_asked(link: &str) -> String {
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
        let again = Recreation::of(&inspected(), 4);
        assert_eq!(
            again.config,
            json!({
                "Image": "nginx:1", "Env": ["A=b"],
                "Labels": {"a": "b", "io.rmachine.rswarm.replaces": ID},
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
        let again = Recreation::of(&inspect, 1);
        assert_eq!(again.config["Hostname"], "www");
    }

    #[test]
    fn the_engines_own_networks_are_not_asked_for() {
        let inspect = json!({
            "Id": ID,
            "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "x"}}},
        });
        let again = Recreation::of(&inspect, 1);
        assert!(again.connect.is_empty());
        assert_eq!(again.config.get("NetworkingConfig"), None);
        assert_eq!(again.config["HostConfig"]["NetworkMode"], "default");
    }

    #[test]
    fn generations_are_known_and_bounded() {
        let mut inspect = inspected();
        let label = |again: &Recreation| {
            let label = &again.config["Labels"]["io.rmachine.rswarm.replaces"];
            label.as_str().unwrap().to_owned()
        };
        inspect["Config"]["Labels"]["io.rmachine.rswarm.replaces"] = json!("x,y");
        assert_eq!(label(&Recreation::of(&inspect, 1)), format!("{ID},x,y"));
        let many = vec!["x"; 100].join(",");
        inspect["Config"]["Labels"]["io.rmachine.rswarm.replaces"] = json!(many);
        assert_eq!(label(&Recreation::of(&inspect, 1)).split(',').count(), 8);
    }
}
