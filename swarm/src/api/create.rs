//! What becomes of the body of `POST /containers/create` on its way to an engine. Pure.

use rswarm_scheduler::{Directives, Expression, Request, SWARM_ID_LABEL};
use serde_json::{Map, Value, json};

use super::ApiError;
use crate::statement::{RESERVED_PREFIX, STATEMENT_LABEL};

/// Clients of 2014 send these beside `HostConfig`; engines read them only inside it.
const MOVED: [(&str, &str); 4] = [
    ("Memory", "Memory"),
    ("MemorySwap", "MemorySwap"),
    ("CpuShares", "CpuShares"),
    ("Cpuset", "CpusetCpus"),
];

/// Fields that are read here, so that an engine must not read them from elsewhere.
const FIELDS: [&str; 5] = ["Image", "Env", "Labels", "HostConfig", "NetworkingConfig"];

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
        if !config.is_object() {
            let message = "the configuration of the container is not an object";
            return Err(ApiError::Invalid(message.to_owned()));
        }
        normalize_fields(&mut config)?;
        move_older_fields(&mut config);
        let invalid = |error: &dyn std::error::Error| ApiError::Invalid(error.to_string());
        let directives = Directives::read(&config).map_err(|error| invalid(&error))?;
        directives.write(&mut config);
        let labels = object(&mut config, "Labels")?;
        labels.retain(|label, _| !label.starts_with(RESERVED_PREFIX));
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
        let mode = &mut self.config["HostConfig"]["NetworkMode"];
        if mode.as_str() == Some(written) {
            *mode = Value::String(name.to_owned());
        }
    }

    /// The request as it is signed: complete, and not adapted to an engine.
    pub fn canonical(&self) -> Value {
        let mut config = self.config.clone();
        if let Some(endpoints) = config.pointer_mut("/NetworkingConfig/EndpointsConfig") {
            without_nodes(endpoints);
        }
        config
    }

    /// The request for an engine, with the label for the statement about it. `--cpu-shares 1`
    /// requests one processor of a cluster, and these shares of an engine.
    pub fn body(&self, cpu_shares: u64, statement: Option<&str>) -> Vec<u8> {
        let mut config = self.canonical();
        if let Some(statement) = statement
            && let Ok(labels) = object(&mut config, "Labels")
        {
            labels.insert(STATEMENT_LABEL.to_owned(), statement.into());
        }
        if let Some(shares) = config.pointer_mut("/HostConfig/CpuShares")
            && shares.as_u64().is_some_and(|asked| asked > 0)
        {
            *shares = json!(cpu_shares);
        }
        config.to_string().into_bytes()
    }
}

/// The wish to be on a node, given up where the node will not do.
pub fn wish_for_node(nodes: &[String]) -> Option<Expression> {
    let value = match nodes {
        [] => return None,
        [node] => node.clone(),
        nodes => format!("/^({})$/", nodes.join("|")),
    };
    Expression::parse(&format!("node==~{value}")).ok()
}

/// A name without the node before it: `node-1/back` is `back`.
pub fn without_node(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

fn move_older_fields(config: &mut Value) {
    for (older, newer) in MOVED {
        let Some(value) = config
            .as_object_mut()
            .and_then(|all| all.shift_remove(older))
        else {
            continue;
        };
        let is_given = match &value {
            Value::Number(number) => number.as_i64() != Some(0),
            Value::String(text) => !text.is_empty(),
            _ => false,
        };
        if is_given && let Ok(host) = object(config, "HostConfig") {
            host.insert(newer.to_owned(), value);
        }
    }
}

/// Engines, being written in Go, match the names of fields without regard to case, and merge fields
/// that occur twice. Fields that decide who creates the container, and where, get the name that is
/// read here.
fn normalize_fields(config: &mut Value) -> Result<(), ApiError> {
    let Value::Object(fields) = config else {
        return Ok(());
    };
    for name in FIELDS {
        let mut found = fields.keys().filter(|key| is_same_field(key, name));
        let (first, second) = (found.next(), found.next());
        if second.is_some() {
            let message = format!("field {name} occurs more than once");
            return Err(ApiError::Invalid(message));
        }
        let Some(other) = first.filter(|key| *key != name).cloned() else {
            continue;
        };
        if let Some(value) = fields.shift_remove(&other) {
            fields.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

/// As Go's `encoding/json` compares names: U+017F is an S, and U+212A a K.
fn is_same_field(one: &str, other: &str) -> bool {
    folded(one).eq(folded(other))
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    let lower = name.chars().flat_map(char::to_lowercase);
    lower.map(|it| if it == 'ſ' { 's' } else { it })
}

/// The object of this name, made if there is none.
fn object<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Map<String, Value>, ApiError> {
    let value = &mut config[name];
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let invalid = || ApiError::Invalid(format!("{name} is not an object"));
    value.as_object_mut().ok_or_else(invalid)
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
        serde_json::from_slice(&blueprint(config).body(shares, None)).unwrap()
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
    fn labels_of_managers_are_removed_however_the_field_is_written() {
        for field in ["Labels", "labels", "LABELS", "Label\u{17f}"] {
            let config = json!({field: {
                "io.rmachine.rswarm.statement": "forged",
                "io.rmachine.rswarm.replaces": "0123",
                "a": "b",
            }});
            assert_eq!(
                told(config, 1),
                json!({"Labels": {"a": "b", "com.docker.swarm.id": "abc"}}),
                "{field}"
            );
        }
    }

    #[test]
    fn field_that_occurs_twice_is_rejected() {
        for config in [
            json!({"Labels": {}, "labels": {"a": "b"}}),
            json!({"hostconfig": {}, "HOSTCONFIG": {}}),
        ] {
            let error = Blueprint::read(config, String::new()).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.to_string().ends_with("occurs more than once"));
        }
    }

    #[test]
    fn statement_becomes_a_label_and_no_part_of_what_is_signed() {
        let blueprint = blueprint(json!({"Image": "x", "HostConfig": {"CpuShares": 1}}));
        let body: Value = serde_json::from_slice(&blueprint.body(512, Some("signed"))).unwrap();
        assert_eq!(body["Labels"]["io.rmachine.rswarm.statement"], "signed");
        assert_eq!(
            blueprint.canonical(),
            json!({
                "Image": "x", "HostConfig": {"CpuShares": 1},
                "Labels": {"com.docker.swarm.id": "abc"},
            })
        );
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
        let body: Value = serde_json::from_slice(&blueprint.body(1, None)).unwrap();
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
        assert_eq!(wish(&["a", "b"]).unwrap().value(), "/^(a|b)$/");
        assert!(wish(&[]).is_none());
        assert!(wish(&["a@b"]).is_none());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (config, told) in [
            (
                json!([]),
                "the configuration of the container is not an object",
            ),
            (json!({"Env": "x"}), "Env is not a list"),
            (json!({"Labels": "x"}), "Labels is not an object"),
        ] {
            let error = Blueprint::read(config, String::new()).unwrap_err();
            assert_eq!(error.to_string(), told);
            assert_eq!(error.status(), 400);
        }
        let bad = blueprint(json!({"Env": ["constraint:a==b"]}));
        assert_eq!(
            bad.request("x").unwrap_err().to_string(),
            "error from constraint filter: Key 'a' is invalid"
        );
    }
}
