use serde_json::{Map, Value};

use crate::ReschedulePolicy;
use crate::json::{self, Malformed};
use crate::reschedule::PolicyError;

/// The label that holds a container's id within the cluster.
pub const SWARM_ID_LABEL: &str = "com.docker.swarm.id";

/// The label with the reschedule policies, a JSON list of texts.
pub(crate) const RESCHEDULE_LABEL: &str = "com.docker.swarm.reschedule-policies";

const LABELS: &str = "/Labels";
const ENV: &str = "/Env";

/// What a create request asks of the scheduler, as its environment and labels say it.
///
/// `-e constraint:node==x` and the label `com.docker.swarm.constraints=["node==x"]` are the same;
/// so for `affinity:`, `whitelist:` and `reschedule:`. The container keeps the labels only, so
/// that a manager which has just started knows how to place it anew.
///
/// One deviation from the original: a label that is not a JSON list of texts is an error; there
/// it was taken for an empty list without a word.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Directives {
    /// Conditions on nodes.
    pub constraints: Vec<String>,
    /// Conditions on the containers and images of nodes.
    pub affinities: Vec<String>,
    /// Nodes to choose from.
    pub whitelists: Vec<String>,
    /// What happens when the node is lost.
    pub reschedule_policies: Vec<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Constraint,
    Affinity,
    Whitelist,
    Reschedule,
}

/// Why directives cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DirectivesError {
    /// A field of the configuration is of another type.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A label of ours is not a JSON list of texts.
    #[error("label {label} is not a JSON list of texts: {value}")]
    Label {
        /// The label.
        label: &'static str,
        /// Its value.
        value: String,
    },
}

impl Directives {
    /// Reads the labels, then the environment, of a create request or an inspected `Config`.
    pub fn read(config: &Value) -> Result<Self, DirectivesError> {
        let mut directives = Self::default();
        for (key, value) in json::entries(config, LABELS)? {
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.label() == key) {
                let value = json::text_of(Some(value), LABELS)?;
                *directives.list(kind) =
                    serde_json::from_str(value).map_err(|_| DirectivesError::Label {
                        label: kind.label(),
                        value: value.to_owned(),
                    })?;
            }
        }
        for entry in json::texts(config, ENV)? {
            if let Some((kind, directive)) = Kind::of_env(entry) {
                directives.list(kind).push(directive.to_owned());
            }
        }
        Ok(directives)
    }

    /// Puts these directives into the labels of the configuration and takes those of its
    /// environment out. A list that is empty leaves its label alone only where there is none.
    pub fn write(&self, config: &mut Value) {
        let Value::Object(config) = config else {
            return;
        };
        if let Some(Value::Array(env)) = config.get_mut("Env") {
            env.retain(|entry| entry.as_str().is_none_or(|e| Kind::of_env(e).is_none()));
        }
        let labels = config.entry("Labels").or_insert(Value::Null);
        if labels.is_null() {
            *labels = Value::Object(Map::new());
        }
        let Value::Object(labels) = labels else {
            return;
        };
        for kind in Kind::ALL {
            let list = self.of(kind);
            if !list.is_empty() || labels.contains_key(kind.label()) {
                labels.insert(kind.label().to_owned(), Value::from(list_text(list)));
            }
        }
    }

    /// The policy that applies, the default where none is given.
    pub fn reschedule_policy(&self) -> Result<ReschedulePolicy, PolicyError> {
        ReschedulePolicy::of(&self.reschedule_policies)
    }

    /// Whether a hard constraint pins the container to a node.
    pub fn pins_node(&self) -> bool {
        self.constraints.iter().any(|constraint| {
            constraint
                .strip_prefix("node==")
                .is_some_and(|node| !node.starts_with('~'))
        })
    }

    fn of(&self, kind: Kind) -> &Vec<String> {
        match kind {
            Kind::Constraint => &self.constraints,
            Kind::Affinity => &self.affinities,
            Kind::Whitelist => &self.whitelists,
            Kind::Reschedule => &self.reschedule_policies,
        }
    }

    fn list(&mut self, kind: Kind) -> &mut Vec<String> {
        match kind {
            Kind::Constraint => &mut self.constraints,
            Kind::Affinity => &mut self.affinities,
            Kind::Whitelist => &mut self.whitelists,
            Kind::Reschedule => &mut self.reschedule_policies,
        }
    }
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Constraint,
        Self::Affinity,
        Self::Whitelist,
        Self::Reschedule,
    ];

    fn of_env(entry: &str) -> Option<(Self, &str)> {
        let (name, directive) = entry.split_once(':')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.env() == name)?;
        Some((kind, directive))
    }

    fn env(self) -> &'static str {
        match self {
            Self::Constraint => "constraint",
            Self::Affinity => "affinity",
            Self::Whitelist => "whitelist",
            Self::Reschedule => "reschedule",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Constraint => "com.docker.swarm.constraints",
            Self::Affinity => "com.docker.swarm.affinities",
            Self::Whitelist => "com.docker.swarm.whitelists",
            Self::Reschedule => RESCHEDULE_LABEL,
        }
    }
}

fn list_text(list: &[String]) -> String {
    Value::from(list).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn environment_moves_into_labels() {
        let mut config = json!({
            "Image": "nginx",
            "Env": [
                "A=constraint:x",
                "constraint:node==a",
                "affinity:container==b",
                "whitelist:node==a|b",
                "reschedule:on-node-failure",
                "constraints:x==y",
                "PATH",
            ],
            "Labels": {"com.docker.swarm.constraints": "[\"region==eu\"]", "other": "x"},
        });
        let directives = Directives::read(&config).expect("well formed");
        directives.write(&mut config);
        assert_eq!(
            config,
            json!({
                "Image": "nginx",
                "Env": ["A=constraint:x", "constraints:x==y", "PATH"],
                "Labels": {
                    "com.docker.swarm.constraints": "[\"region==eu\",\"node==a\"]",
                    "other": "x",
                    "com.docker.swarm.affinities": "[\"container==b\"]",
                    "com.docker.swarm.whitelists": "[\"node==a|b\"]",
                    "com.docker.swarm.reschedule-policies": "[\"on-node-failure\"]",
                },
            })
        );
        assert_eq!(Directives::read(&config), Ok(directives));
        assert_eq!(
            config["Labels"]["com.docker.swarm.constraints"],
            r#"["region==eu","node==a"]"#
        );
    }

    #[test]
    fn a_request_without_directives_is_left_alone() {
        for config in [
            json!({"Image": "x", "Env": null, "Labels": {}}),
            json!({"Image": "x", "Env": ["A=b"], "Labels": {"a": "b"}}),
        ] {
            let mut written = config.clone();
            let directives = Directives::read(&config).expect("well formed");
            assert_eq!(directives, Directives::default());
            directives.write(&mut written);
            assert_eq!(written, config);
        }
    }

    #[test]
    fn a_directive_that_was_taken_away_leaves_the_label() {
        let mut config = json!({
            "Labels": {"com.docker.swarm.affinities": "[\"image==x\"]"},
        });
        let mut directives = Directives::read(&config).expect("well formed");
        directives.affinities.clear();
        directives.write(&mut config);
        assert_eq!(config["Labels"]["com.docker.swarm.affinities"], "[]");
    }

    #[test]
    fn labels_that_are_missing_are_made() {
        for mut config in [
            json!({"Env": ["constraint:a==b"]}),
            json!({"Env": ["constraint:a==b"], "Labels": null}),
        ] {
            let directives = Directives::read(&config).expect("well formed");
            directives.write(&mut config);
            assert_eq!(
                config["Labels"]["com.docker.swarm.constraints"],
                "[\"a==b\"]"
            );
            assert_eq!(config["Env"], json!([]));
        }
    }

    #[test]
    fn what_is_malformed_is_told() {
        let table = [
            (
                json!({"Env": "A=b"}),
                "json: cannot unmarshal string into Go struct field Env of type []string",
            ),
            (
                json!({"Env": [1]}),
                "json: cannot unmarshal number into Go struct field Env of type string",
            ),
            (
                json!({"Labels": []}),
                "json: cannot unmarshal array into Go struct field Labels of type map[string]string",
            ),
            (
                json!({"Labels": {"com.docker.swarm.constraints": "node==a"}}),
                "label com.docker.swarm.constraints is not a JSON list of texts: node==a",
            ),
            (
                json!({"Labels": {"com.docker.swarm.reschedule-policies": "[1]"}}),
                "label com.docker.swarm.reschedule-policies is not a JSON list of texts: [1]",
            ),
        ];
        for (config, expected) in table {
            let error = Directives::read(&config).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn only_a_hard_constraint_pins() {
        let table = [
            ("node==a", true),
            ("node==~a", false),
            ("node!=a", false),
            ("nodes==a", false),
        ];
        for (constraint, expected) in table {
            let directives = Directives {
                constraints: vec![constraint.to_owned()],
                ..Directives::default()
            };
            assert_eq!(directives.pins_node(), expected, "{constraint}");
        }
    }
}
