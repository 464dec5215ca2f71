use std::collections::BTreeMap;

use serde_json::Value;

use super::Resources;
use crate::json::{self, Malformed};
use crate::resident::amount;

/// What an engine says of itself, as far as placing containers is concerned.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeSpec {
    /// The engine's id with the address after a bar: two engines may be clones of one.
    pub id: String,
    /// The engine's name.
    pub name: String,
    /// Where it is reached, `host:port`.
    pub addr: String,
    /// What constraints look at: `storagedriver`, `kernelversion`, `operatingsystem`, `ostype`,
    /// and the daemon's own labels.
    pub labels: BTreeMap<String, String>,
    /// The daemon's labels that cannot be looked at, as they are: for a warning.
    pub ignored_labels: Vec<String>,
    /// Processors and memory of the machine.
    pub resources: Resources,
}

/// Why an engine cannot be a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// It does not say what it has; another manager answers like that.
    #[error(
        "cannot get resources for this engine, make sure {addr} is a Docker Engine, not a Swarm manager"
    )]
    NoResources {
        /// Where it is reached.
        addr: String,
    },
    /// A label of the daemon has no value.
    #[error(
        "Engine (ID: {id}, Addr: {addr}) contains an invalid label ({label}) not formatted as \"key=value\"."
    )]
    Label {
        /// The engine's id.
        id: String,
        /// Where it is reached.
        addr: String,
        /// The label.
        label: String,
    },
    /// A field is of another type than the engine API says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What is after the bar in the id of a node; no engine's own id has one.
const ID_SEPARATOR: char = '|';

impl NodeSpec {
    /// Reads what `GET /info` answers.
    pub fn from_info(info: &Value, addr: &str) -> Result<Self, SpecError> {
        let bare_id = json::text(info, "/ID")?;
        let resources = Resources {
            cpus: amount(info, "/NCPU")?,
            memory: amount(info, "/MemTotal")?,
        };
        if resources.cpus == 0 || resources.memory == 0 {
            return Err(SpecError::NoResources {
                addr: addr.to_owned(),
            });
        }
        let mut labels = BTreeMap::new();
        for (key, pointer) in [
            ("storagedriver", "/Driver"),
            ("kernelversion", "/KernelVersion"),
            ("operatingsystem", "/OperatingSystem"),
            ("ostype", "/OSType"),
        ] {
            let value = json::text(info, pointer)?;
            if !value.is_empty() {
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        let mut ignored_labels = Vec::new();
        for label in json::texts(info, "/Labels")? {
            let (key, value) = label.split_once('=').ok_or_else(|| SpecError::Label {
                id: bare_id.to_owned(),
                addr: addr.to_owned(),
                label: label.to_owned(),
            })?;
            // `node` in a constraint means the node's name.
            if key == "node" || labels.contains_key(key) {
                ignored_labels.push(label.to_owned());
            } else {
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(Self {
            id: format!("{bare_id}{ID_SEPARATOR}{addr}"),
            name: json::text(info, "/Name")?.to_owned(),
            addr: addr.to_owned(),
            labels,
            ignored_labels,
            resources,
        })
    }

    /// The engine's own id, which people see.
    pub fn bare_id(&self) -> &str {
        self.id
            .split_once(ID_SEPARATOR)
            .map_or(&self.id, |(bare, _)| bare)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_engine_is_read() {
        let info = json!({
            "ID": "AB:CD", "Name": "node-1", "NCPU": 2, "MemTotal": 1024,
            "Driver": "overlay2", "KernelVersion": "6.1.0", "OperatingSystem": "Debian 12",
            "OSType": "linux",
            "Labels": ["region=eu", "storagedriver=x", "node=y", "a=b=c", "region=us", "empty="],
        });
        let spec = NodeSpec::from_info(&info, "10.0.0.1:2376").expect("valid");
        assert_eq!(spec.id, "AB:CD|10.0.0.1:2376");
        assert_eq!(spec.bare_id(), "AB:CD");
        assert_eq!(
            spec.resources,
            Resources {
                cpus: 2,
                memory: 1024
            }
        );
        let labels: Vec<_> = spec
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            labels,
            [
                "a=b=c",
                "empty=",
                "kernelversion=6.1.0",
                "operatingsystem=Debian 12",
                "ostype=linux",
                "region=eu",
                "storagedriver=overlay2",
            ]
        );
        assert_eq!(
            spec.ignored_labels,
            ["storagedriver=x", "node=y", "region=us"]
        );
    }

    #[test]
    fn what_cannot_be_a_node_is_told() {
        let table = [
            (
                json!({"ID": "X", "NCPU": 0, "MemTotal": 1}),
                "cannot get resources for this engine, make sure a:1 is a Docker Engine, not a Swarm manager",
            ),
            (
                json!({"ID": "X", "NCPU": 1, "MemTotal": 1, "Labels": ["region"]}),
                "Engine (ID: X, Addr: a:1) contains an invalid label (region) not formatted as \"key=value\".",
            ),
            (
                json!({"NCPU": "two"}),
                "json: cannot unmarshal string into Go struct field NCPU of type int64",
            ),
        ];
        for (info, expected) in table {
            let error = NodeSpec::from_info(&info, "a:1").expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }
}
