//! What becomes of the body of `POST /containers/create` on its way to an engine. Pure.

use rswarm_scheduler::{Directives, Expression, Request, SWARM_ID_LABEL};
use serde_json::{Map, Value, json};

use super::ApiError;
use crate::json::{self, Field};

/// Clients of 2014 send these beside `HostConfig`; engines read them only inside it.
const MOVED: [(&str, &str); 4] = [
    ("Memory", "Memory"),
    ("MemorySwap", "MemorySwap"),
    ("CpuShares", "CpuShares"),
    ("Cpuset", "CpusetCpus"),
];

const BODY: &str = "runconfig.ContainerConfigWrapper";

const IMAGE: Field = Field {
    key: "Image",
    name: "ContainerConfigWrapper.Image",
    go_type: "string",
};

const LABELS: Field = Field {
    key: "Labels",
    name: "ContainerConfigWrapper.Labels",
    go_type: "map[string]string",
};

const HOST_CONFIG: Field = Field {
    key: "HostConfig",
    name: "ContainerConfigWrapper.HostConfig",
    go_type: "container.HostConfig",
};

const NETWORKING_CONFIG: Field = Field {
    key: "NetworkingConfig",
    name: "ContainerConfigWrapper.NetworkingConfig",
    go_type: "network.NetworkingConfig",
};

const ENDPOINTS: Field = Field {
    key: "EndpointsConfig",
    name: "NetworkingConfig.NetworkingConfig.EndpointsConfig",
    go_type: "map[string]*network.EndpointSettings",
};

/// A container that is to be created: what engines are told, and what the scheduler is.
#[derive(Clone, Debug)]
pub struct Blueprint {
    config: Value,
    directives: Directives,
}

impl Blueprint {
    /// Reads the body of a client: directives move into labels, older fields to their places.
    /// The container gets its id within the cluster.
    ///
    /// # Errors
    /// [`ApiError::Invalid`].
    pub fn read(mut config: Value, swarm_id: String) -> Result<Self, ApiError> {
        if config.is_null() {
            let message = "Config cannot be empty in order to create a container";
            return Err(ApiError::Invalid(message.to_owned()));
        }
        let fields = json::body(&mut config, BODY)?;
        IMAGE.text(fields)?;
        if let Some(networking) = NETWORKING_CONFIG.object(fields)? {
            ENDPOINTS.object(networking)?;
        }
        HOST_CONFIG.object(fields)?;
        move_older_fields(fields)?;
        let invalid = |error: &dyn std::error::Error| ApiError::Invalid(error.to_string());
        let directives = Directives::read(&config).map_err(|error| invalid(&error))?;
        directives.write(&mut config);
        let labels = LABELS.object_mut(json::body(&mut config, BODY)?)?;
        labels.insert(SWARM_ID_LABEL.to_owned(), Value::String(swarm_id));
        Ok(Self { config, directives })
    }

    /// The image, as the client wrote it.
    pub fn image(&self) -> &str {
        self.config["Image"].as_str().unwrap_or_default()
    }

    /// Whether it can run on one node only, whatever else holds.
    pub fn is_pinned(&self) -> bool {
        self.directives.pins_node()
    }

    /// What the scheduler is asked.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with the words of the original.
    pub fn request(&self, name: &str) -> Result<Request, ApiError> {
        let request = Request::from_config(&self.config);
        let request = request.map_err(|error| ApiError::Invalid(error.to_string()))?;
        Ok(request.named(name))
    }

    /// The networks that it names, each as the client wrote it.
    pub fn networks(&self) -> Vec<&str> {
        let mode = self.config["HostConfig"]["NetworkMode"].as_str();
        let endpoints = self.config["NetworkingConfig"]["EndpointsConfig"].as_object();
        let endpoints = endpoints.into_iter().flat_map(Map::keys);
        let mut names: Vec<&str> = mode
            .into_iter()
            .chain(endpoints.map(String::as_str))
            .filter(|name| !is_built_in(name))
            .collect();
        names.dedup();
        names
    }

    /// The named volumes of the engine's own driver that it mounts.
    pub fn local_volumes(&self) -> Vec<&str> {
        let host = &self.config["HostConfig"];
        let mut names = Vec::new();
        if matches!(host["VolumeDriver"].as_str(), None | Some("" | "local")) {
            let binds = host["Binds"].as_array().into_iter().flatten();
            let sources = binds.filter_map(|bind| Some(bind.as_str()?.split_once(':')?.0));
            names.extend(sources.filter(|source| !source.starts_with(['/', '.', '~'])));
        }
        let mounts = host["Mounts"].as_array().into_iter().flatten();
        for mount in mounts.filter(|mount| mount["Type"] == "volume") {
            let driver = mount["VolumeOptions"]["DriverConfig"]["Name"].as_str();
            if matches!(driver, None | Some("" | "local")) {
                names.extend(mount["Source"].as_str().filter(|source| !source.is_empty()));
            }
        }
        names
    }

    /// The network mode becomes the network's own name: `node-1/back` is `back` for the engine.
    pub fn set_network_mode(&mut self, written: &str, name: &str) {
        let mode = self.config.pointer_mut("/HostConfig/NetworkMode");
        if let Some(Value::String(mode)) = mode
            && mode == written
        {
            name.clone_into(mode);
        }
    }

    /// What an engine is told. `--cpu-shares 1` asks a cluster for one processor, an engine for
    /// these shares.
    pub fn body(&self, cpu_shares: u64) -> Vec<u8> {
        let mut config = self.config.clone();
        if let Some(endpoints) = config.pointer_mut("/NetworkingConfig/EndpointsConfig") {
            without_nodes(endpoints);
        }
        if let Some(shares) = config.pointer_mut("/HostConfig/CpuShares")
            && shares.as_u64().is_some_and(|asked| asked > 0)
        {
            *shares = json!(cpu_shares);
        }
        config.to_string().into_bytes()
    }
}

/// The wish to be on one of these nodes, given up where they will not do. Names are taken literally:
/// they are what engines call themselves.
pub fn wish_for_node(nodes: &[String]) -> Option<Expression> {
    (!nodes.is_empty()).then(|| Expression::literal_soft("node", nodes))
}

/// A name without the node before it: `node-1/back` is `back`.
pub fn without_node(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

fn move_older_fields(fields: &mut Map<String, Value>) -> Result<(), ApiError> {
    for (older, newer) in MOVED {
        let Some(value) = fields.shift_remove(older) else {
            continue;
        };
        let is_given = match &value {
            Value::Number(number) => number.as_i64() != Some(0),
            Value::String(text) => !text.is_empty(),
            _ => false,
        };
        if is_given {
            let host = HOST_CONFIG.object_mut(fields)?;
            host.insert(newer.to_owned(), value);
        }
    }
    Ok(())
}

fn without_nodes(endpoints: &mut Value) {
    if let Value::Object(endpoints) = endpoints {
        let own = std::mem::take(endpoints).into_iter();
        *endpoints = own
            .map(|(name, endpoint)| (without_node(&name).to_owned(), endpoint))
            .collect();
    }
}

/// Every engine has these, and each its own.
fn is_built_in(network: &str) -> bool {
    matches!(network, "" | "default" | "bridge" | "host" | "none")
        || network.starts_with("container:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(config: Value) -> Blueprint {
        Blueprint::read(config, "abc".to_owned()).unwrap()
    }

    fn told(config: Value, shares: u64) -> Value {
        serde_json::from_slice(&blueprint(config).body(shares)).unwrap()
    }

    #[test]
    fn directives_become_labels_and_the_container_an_id() {
        assert_eq!(
            told(
                json!({"Image": "x", "Env": ["constraint:node==a", "A=b"]}),
                1
            ),
            json!({
                "Image": "x",
                "Env": ["A=b"],
                "Labels": {
                    "com.docker.swarm.constraints": "[\"node==a\"]",
                    "com.docker.swarm.id": "abc",
                },
            })
        );
    }

    #[test]
    fn an_id_of_another_container_is_not_taken_over() {
        let config = json!({"Labels": {"com.docker.swarm.id": "old"}});
        assert_eq!(told(config, 1)["Labels"]["com.docker.swarm.id"], "abc");
    }

    #[test]
    fn older_fields_win_over_newer_ones() {
        let config = json!({
            "Memory": 5, "MemorySwap": -1, "CpuShares": 0, "Cpuset": "0,1",
            "HostConfig": {"Memory": 7, "CpuShares": 3},
        });
        assert_eq!(
            told(config, 768)["HostConfig"],
            json!({"Memory": 5, "CpuShares": 768, "MemorySwap": -1, "CpusetCpus": "0,1"})
        );
    }

    #[test]
    fn processors_become_shares() {
        for (asked, shares) in [
            (json!(1), json!(512)),
            (json!(0), json!(0)),
            (json!(null), json!(null)),
        ] {
            let config = json!({"HostConfig": {"CpuShares": asked}});
            assert_eq!(told(config, 512)["HostConfig"]["CpuShares"], shares);
        }
    }

    #[test]
    fn networks_lose_their_nodes() {
        let config = json!({
            "HostConfig": {"NetworkMode": "node-1/back"},
            "NetworkingConfig": {"EndpointsConfig": {
                "node-1/back": {"Aliases": ["db"]},
                "front": {},
            }},
        });
        let mut blueprint = blueprint(config);
        assert_eq!(blueprint.networks(), ["node-1/back", "front"]);
        blueprint.set_network_mode("node-1/back", "back");
        let body: Value = serde_json::from_slice(&blueprint.body(1)).unwrap();
        assert_eq!(body["HostConfig"]["NetworkMode"], "back");
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"],
            json!({"back": {"Aliases": ["db"]}, "front": {}})
        );
    }

    #[test]
    fn only_networks_of_their_own_are_named() {
        for mode in ["", "default", "bridge", "host", "none", "container:x"] {
            let config = json!({"HostConfig": {"NetworkMode": mode}});
            assert!(blueprint(config).networks().is_empty(), "{mode}");
        }
    }

    #[test]
    fn named_volumes_are_found() {
        let config = json!({"HostConfig": {
            "Binds": ["data:/data:rw", "/srv:/srv", "./x:/x", "/anonymous"],
            "Mounts": [
                {"Type": "volume", "Source": "db", "Target": "/db"},
                {"Type": "volume", "Target": "/anonymous"},
                {"Type": "bind", "Source": "/etc"},
                {"Type": "volume", "Source": "nfs",
                 "VolumeOptions": {"DriverConfig": {"Name": "netshare"}}},
            ],
        }});
        assert_eq!(blueprint(config).local_volumes(), ["data", "db"]);
        let shared = json!({"HostConfig": {"VolumeDriver": "flocker", "Binds": ["data:/data"]}});
        assert!(blueprint(shared).local_volumes().is_empty());
    }

    #[test]
    fn wishes_are_soft() {
        let wish = |nodes: &[&str]| {
            let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
            wish_for_node(&nodes)
        };
        assert!(wish(&["node-1"]).unwrap().is_soft());
        assert!(wish(&["a", "b"]).unwrap().is_soft());
        assert_eq!(wish(&["a", "b"]).unwrap().value(), "a, b");
        assert!(wish(&[]).is_none());
        assert!(wish(&["a@b"]).is_some(), "engines choose their names");
    }

    #[test]
    fn malformed_bodies_are_rejected_in_an_engines_words() {
        let field = |found: &str, field: &str, go_type: &str| {
            format!("json: cannot unmarshal {found} into Go struct field {field} of type {go_type}")
        };
        for (config, message) in [
            (
                json!(null),
                "Config cannot be empty in order to create a container".to_owned(),
            ),
            (
                json!([]),
                format!("json: cannot unmarshal array into Go value of type {BODY}"),
            ),
            (json!({"Image": 5}), field("number", IMAGE.name, "string")),
            (json!({"Env": "x"}), field("string", "Env", "[]string")),
            (
                json!({"Labels": "x"}),
                field("string", "Labels", "map[string]string"),
            ),
            (
                json!({"HostConfig": "x"}),
                field("string", HOST_CONFIG.name, "container.HostConfig"),
            ),
            (
                json!({"HostConfig": [], "Memory": 5}),
                field("array", HOST_CONFIG.name, "container.HostConfig"),
            ),
            (
                json!({"NetworkingConfig": 5}),
                field("number", NETWORKING_CONFIG.name, "network.NetworkingConfig"),
            ),
            (
                json!({"HostConfig": 1, "NetworkingConfig": {"EndpointsConfig": {"a": {}}}}),
                field("number", HOST_CONFIG.name, "container.HostConfig"),
            ),
            (
                json!({"NetworkingConfig": {"EndpointsConfig": [1]}}),
                field("array", ENDPOINTS.name, ENDPOINTS.go_type),
            ),
        ] {
            let error = Blueprint::read(config, String::new()).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.status(), 400);
        }
        let bad = blueprint(json!({"Env": ["constraint:a==b"]}));
        assert_eq!(
            bad.request("x").unwrap_err().to_string(),
            "error from constraint filter: Key 'a' is invalid"
        );
    }
}
