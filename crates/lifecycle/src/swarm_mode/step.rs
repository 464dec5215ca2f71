use rmachine_driver::MachineName;
use serde_json::Value;

/// Why an engine cannot become a node of a swarm.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SwarmModeRefusal {
    /// No machine is a manager.
    #[error("there is no swarm to join: no machine here is a manager in swarm mode")]
    NoManager,

    /// It is not clear which swarm is meant.
    #[error("several machines are managers in swarm mode, and it is not said which to join")]
    SeveralManagers {
        /// They.
        managers: Vec<MachineName>,
    },

    /// The machine that is to be joined is no manager.
    #[error("{name} is no manager in swarm mode")]
    NotAManager {
        /// The machine.
        name: MachineName,
    },

    /// The manager is not made to its end, and nobody works on it.
    #[error("the manager {name} is not ready, so nobody can join it")]
    ManagerNotReady {
        /// The manager.
        name: MachineName,
    },

    /// The engine is in a swarm already.
    #[error("the engine of {name} belongs to another swarm")]
    OtherSwarm {
        /// The machine.
        name: MachineName,
    },

    /// The engine is in a swarm and cannot work in it.
    #[error("swarm mode of {name} is {state}: {error}")]
    Broken {
        /// The machine.
        name: MachineName,
        /// The engine's word: `error` or `locked`.
        state: String,
        /// The engine's reason.
        error: String,
    },
}

/// What an engine says of its own part in a swarm: `Swarm` of `GET /info`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Local {
    /// `inactive`, `pending`, `active`, `error` or `locked`.
    pub(crate) state: String,
    /// Why it is in error.
    pub(crate) error: String,
    /// Its own number in the swarm.
    pub(crate) node: String,
    /// Whether it is a manager.
    pub(crate) manages: bool,
    /// Where managers are reached, `host:port`.
    pub(crate) managers: Vec<String>,
}

impl Local {
    pub(crate) fn read(info: &Value) -> Self {
        let swarm = &info["Swarm"];
        let text = |key: &str| swarm[key].as_str().unwrap_or_default().to_owned();
        let managers = swarm["RemoteManagers"].as_array();
        let address = |manager: &Value| Some(manager["Addr"].as_str()?.to_owned());
        Self {
            state: text("LocalNodeState"),
            error: text("Error"),
            node: text("NodeID"),
            manages: swarm["ControlAvailable"] == true,
            managers: managers.into_iter().flatten().filter_map(address).collect(),
        }
    }

    /// Whether it is in a swarm at all.
    pub(crate) fn is_in_swarm(&self) -> bool {
        !matches!(self.state.as_str(), "" | "inactive")
    }
}

/// What makes an engine the node that it is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// It is.
    Nothing,
    /// It begins a swarm.
    Init,
    /// It joins one, in its role.
    Join,
    /// It is in it, and gets the other role.
    ChangeRole,
}

/// Decides what is to be done. `knows` says whether the manager that is to be joined has this engine
/// among its nodes; `None` where none is to be joined.
pub(crate) fn step(
    name: &MachineName,
    here: &Local,
    manages: bool,
    knows: Option<bool>,
) -> Result<Step, SwarmModeRefusal> {
    match (here.state.as_str(), knows) {
        (state @ ("error" | "locked"), _) => Err(SwarmModeRefusal::Broken {
            name: name.clone(),
            state: state.to_owned(),
            error: here.error.clone(),
        }),
        ("" | "inactive", None) => Ok(Step::Init),
        ("" | "inactive", Some(_)) => Ok(Step::Join),
        (_, None) if here.manages => Ok(Step::Nothing),
        (_, None | Some(false)) => Err(SwarmModeRefusal::OtherSwarm { name: name.clone() }),
        (_, Some(true)) if here.manages == manages => Ok(Step::Nothing),
        (_, Some(true)) => Ok(Step::ChangeRole),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_engine_becomes_the_node_that_it_is_to_be() {
        let name: MachineName = "n1".parse().unwrap();
        let other = || Err(SwarmModeRefusal::OtherSwarm { name: name.clone() });
        for (state, is, manages, knows, expected) in [
            ("inactive", false, true, None, Ok(Step::Init)),
            ("", false, true, None, Ok(Step::Init)),
            ("active", true, true, None, Ok(Step::Nothing)),
            ("active", false, true, None, other()),
            ("inactive", false, true, Some(false), Ok(Step::Join)),
            ("inactive", false, false, Some(true), Ok(Step::Join)),
            ("active", false, false, Some(true), Ok(Step::Nothing)),
            ("active", true, true, Some(true), Ok(Step::Nothing)),
            ("active", true, false, Some(true), Ok(Step::ChangeRole)),
            ("active", false, true, Some(true), Ok(Step::ChangeRole)),
            ("active", false, false, Some(false), other()),
            ("pending", false, false, Some(true), Ok(Step::Nothing)),
        ] {
            let here = Local {
                state: state.to_owned(),
                manages: is,
                ..Local::default()
            };
            let decided = step(&name, &here, manages, knows);
            assert_eq!(decided, expected, "{state} {is} {manages} {knows:?}");
        }
        let locked = Local {
            state: "locked".to_owned(),
            error: "a key is needed".to_owned(),
            ..Local::default()
        };
        let refused = step(&name, &locked, true, None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "swarm mode of n1 is locked: a key is needed"
        );
    }

    #[test]
    fn reads_what_an_engine_says_of_itself() {
        let info = json!({"Swarm": {
            "LocalNodeState": "active", "NodeID": "abc", "ControlAvailable": true, "Error": "",
            "RemoteManagers": [{"NodeID": "abc", "Addr": "10.0.0.1:2377"}],
        }});
        let here = Local::read(&info);
        assert_eq!((here.node.as_str(), here.manages), ("abc", true));
        assert_eq!(here.managers, ["10.0.0.1:2377"]);
        assert!(here.is_in_swarm());
        let none = json!({"Swarm": {"LocalNodeState": "inactive", "RemoteManagers": null}});
        assert!(!Local::read(&none).is_in_swarm());
        assert!(!Local::read(&json!({})).is_in_swarm());
    }
}
