use std::fmt;

use serde_json::Value;

use crate::directives::DirectivesError;
use crate::json::{self, Malformed};
use crate::replacement::Replacement;
use crate::reschedule::PolicyError;
use crate::resident::{amount, exposed, labels};
use crate::{
    Directives, Expression, ExpressionError, Filter, Label, Port, PublishedPort, ReschedulePolicy,
};

/// What a container that is to be created asks of its node.
///
/// The default asks for nothing: any healthy node will do.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The name of the container, empty where the engine chooses one.
    pub name: String,
    /// Its labels, directives included.
    pub labels: Vec<Label>,
    /// Processors: `--cpu-shares 2` asks a cluster for two.
    pub cpus: u64,
    /// Memory in bytes, 0 for any.
    pub memory: u64,
    /// Fixed ports of the host.
    pub published: Vec<PublishedPort>,
    /// Ports exposed on the host's own network.
    pub host_ports: Vec<Port>,
    /// Containers that must be on the node.
    pub dependencies: Vec<Dependency>,
    /// Conditions on containers and images of the node.
    pub affinities: Vec<Expression>,
    /// Conditions on the node.
    pub constraints: Vec<Expression>,
    /// Nodes to choose from.
    pub whitelists: Vec<Expression>,
    /// What happens when the node is lost.
    pub reschedule: ReschedulePolicy,
    /// Containers that make way for it.
    pub replaces: Replacement,
}

/// Another container that must be on the same node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dependency {
    /// The option that asks for it: `--volumes-from`.
    pub option: &'static str,
    /// What was given to it: `c1:ro`.
    pub argument: String,
    /// The name or id of the other container.
    pub container: String,
}

/// Why a configuration is no request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// A field is of another type than the engine API says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The directives cannot be read.
    #[error(transparent)]
    Directives(#[from] DirectivesError),
    /// The reschedule policies are none.
    #[error(transparent)]
    Reschedule(#[from] PolicyError),
    /// An expression is none.
    #[error("error from {filter} filter: {source}")]
    Expression {
        /// The filter that would have used it.
        filter: Filter,
        /// What is wrong with it.
        source: ExpressionError,
    },
}

impl Request {
    /// Reads the body of `POST /containers/create`, with directives in its environment or moved
    /// into its labels.
    ///
    /// Expressions are read whether or not their filter is in use, and before nodes are looked
    /// at: what is wrong with them is told first.
    pub fn from_config(config: &Value) -> Result<Self, RequestError> {
        let directives = Directives::read(config)?;
        let reschedule = directives.reschedule_policy()?;
        let labels = labels(config, "/Labels")?;
        let on_host = json::text(config, "/HostConfig/NetworkMode")? == "host";
        let (published, host_ports) = if on_host {
            (Vec::new(), exposed(config, "/ExposedPorts")?)
        } else {
            let published = PublishedPort::read(config, "/HostConfig/PortBindings")?;
            (published, Vec::new())
        };
        Ok(Self {
            name: String::new(),
            cpus: older_or(config, "/CpuShares", "/HostConfig/CpuShares")?,
            memory: older_or(config, "/Memory", "/HostConfig/Memory")?,
            published,
            host_ports,
            dependencies: dependencies(config)?,
            affinities: expressions(Filter::Affinity, &directives.affinities)?,
            constraints: expressions(Filter::Constraint, &directives.constraints)?,
            whitelists: expressions(Filter::Whitelist, &directives.whitelists)?,
            reschedule,
            replaces: Replacement::of(&labels),
            labels,
        })
    }

    /// The same request for a container of this name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.option, self.argument)
    }
}

/// Clients of 2014 send resources beside `HostConfig`, and those win.
fn older_or(config: &Value, older: &'static str, newer: &'static str) -> Result<u64, Malformed> {
    match amount(config, older)? {
        0 => amount(config, newer),
        given => Ok(given),
    }
}

fn expressions(filter: Filter, texts: &[String]) -> Result<Vec<Expression>, RequestError> {
    texts
        .iter()
        .map(|text| {
            Expression::parse(text).map_err(|source| RequestError::Expression { filter, source })
        })
        .collect()
}

/// What names another container. The original left out `--ipc` and `--pid`, whose containers no
/// engine finds when they are elsewhere.
fn dependencies(config: &Value) -> Result<Vec<Dependency>, Malformed> {
    let mut dependencies = Vec::new();
    for (option, pointer) in [
        ("--volumes-from", "/HostConfig/VolumesFrom"),
        ("--link", "/HostConfig/Links"),
    ] {
        for argument in json::texts(config, pointer)? {
            let container = argument.split(':').next().unwrap_or_default();
            dependencies.push(Dependency {
                option,
                argument: argument.to_owned(),
                container: container.to_owned(),
            });
        }
    }
    for (option, pointer) in [
        ("--net", "/HostConfig/NetworkMode"),
        ("--ipc", "/HostConfig/IpcMode"),
        ("--pid", "/HostConfig/PidMode"),
    ] {
        let argument = json::text(config, pointer)?;
        if let Some(container) = argument.strip_prefix("container:") {
            dependencies.push(Dependency {
                option,
                argument: argument.to_owned(),
                container: container.to_owned(),
            });
        }
    }
    Ok(dependencies)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_create_request_is_read() {
        let config = json!({
            "Image": "nginx",
            "Env": ["constraint:region==eu", "affinity:image==nginx", "reschedule:on-node-failure"],
            "Labels": {"a": "b"},
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {
                "Memory": 1024,
                "CpuShares": 2,
                "NetworkMode": "container:c3",
                "PidMode": "container:c4",
                "IpcMode": "host",
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
                "VolumesFrom": ["c1:ro"],
                "Links": ["/c2:/web/alias"],
            },
        });
        let request = Request::from_config(&config).expect("valid").named("web");
        assert_eq!(request.name, "web");
        assert_eq!((request.cpus, request.memory), (2, 1024));
        assert_eq!(request.published[0].to_string(), "8080/tcp");
        assert_eq!(request.host_ports, []);
        assert_eq!(request.constraints[0].to_string(), "region==eu");
        assert_eq!(request.affinities[0].to_string(), "image==nginx");
        assert_eq!(request.reschedule, ReschedulePolicy::OnNodeFailure);
        assert_eq!(request.labels, [("a".into(), "b".into())]);
        let dependencies: Vec<_> = request
            .dependencies
            .iter()
            .map(|dependency| (dependency.to_string(), dependency.container.as_str()))
            .collect();
        assert_eq!(
            dependencies,
            [
                ("--volumes-from=c1:ro".to_owned(), "c1"),
                ("--link=/c2:/web/alias".to_owned(), "/c2"),
                ("--net=container:c3".to_owned(), "c3"),
                ("--pid=container:c4".to_owned(), "c4"),
            ]
        );
    }

    #[test]
    fn on_the_hosts_network_exposed_ports_are_asked_for() {
        let config = json!({
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "80"}]}},
        });
        let request = Request::from_config(&config).expect("valid");
        assert_eq!(request.published, []);
        assert_eq!(request.host_ports[0].to_string(), "80/tcp");
    }

    #[test]
    fn resources_of_older_clients_win() {
        let config = json!({
            "Memory": 5, "CpuShares": 0,
            "HostConfig": {"Memory": 7, "CpuShares": 3},
        });
        let request = Request::from_config(&config).expect("valid");
        assert_eq!((request.cpus, request.memory), (3, 5));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_original() {
        let table = [
            (
                json!({"Env": ["constraint:a==b"]}),
                "error from constraint filter: Key 'a' is invalid",
            ),
            (
                json!({"Env": ["affinity:image==x@y"]}),
                "error from affinity filter: Value 'x@y' is invalid",
            ),
            (
                json!({"Env": ["whitelist:node"]}),
                "error from whitelist filter: One of operator ==, != is expected",
            ),
            (
                json!({"Env": ["reschedule:always"]}),
                "invalid reschedule policy: always",
            ),
            (
                json!({"Env": ["reschedule:off", "reschedule:off"]}),
                "too many reschedule policies",
            ),
            (
                json!({"HostConfig": {"Links": "c1"}}),
                "json: cannot unmarshal string into Go struct field HostConfig.Links of type []string",
            ),
            (
                json!({"HostConfig": {"Memory": 1.5}}),
                "json: cannot unmarshal number into Go struct field HostConfig.Memory of type int64",
            ),
        ];
        for (config, expected) in table {
            let error = Request::from_config(&config).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn nothing_asks_for_nothing() {
        for config in [
            json!({}),
            json!({"HostConfig": null, "Labels": null, "Env": null}),
        ] {
            let request = Request::from_config(&config).expect("valid");
            assert_eq!(request.dependencies, []);
            assert!(request.replaces.is_empty());
        }
    }
}
