use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rmachine_driver::{FlagValue, MachineName};
use rmachine_lifecycle::MachineSpec;
use serde::{Deserialize, Serialize};

/// A cluster as its file wants it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name: of the same kind as those of its machines, which begin with it.
    pub name: MachineName,
    /// What joins the engines.
    pub orchestrator: Orchestrator,
    /// Where the nodes of a classic cluster find each other, its own store included; `None` where
    /// the manager serves that.
    pub discovery: Option<String>,
    /// Whether it has a store of its own.
    pub store: bool,
    /// How long the cluster is wanted; `None` until it is taken down.
    pub ttl: Option<Duration>,
    /// The machines, in the order of the file.
    pub members: Vec<Member>,
    /// SHA-256 of the file's text.
    pub digest: String,
}

/// A machine as the file wants it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The group that it is of.
    pub group: String,
    /// What it is in the cluster.
    pub roles: Roles,
    /// The flags that the file gives; those of the specification have defaults besides.
    pub given: BTreeMap<String, FlagValue>,
    /// What is asked of the machine.
    pub spec: MachineSpec,
}

/// What joins the engines of a cluster.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orchestrator {
    /// The companion's managers and agents.
    #[default]
    Classic,
    /// The swarm mode that is built into engines.
    SwarmMode,
    /// Nothing: machines that are made and removed together.
    None,
}

impl Orchestrator {
    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::SwarmMode => "swarm-mode",
            Self::None => "none",
        }
    }

    /// The same in the words of the machines' lifecycle; `None` where nothing joins them.
    pub(crate) fn of_machines(self) -> Option<rmachine_lifecycle::Orchestrator> {
        match self {
            Self::Classic => Some(rmachine_lifecycle::Orchestrator::Classic),
            Self::SwarmMode => Some(rmachine_lifecycle::Orchestrator::SwarmMode),
            Self::None => None,
        }
    }
}

impl fmt::Display for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a machine is in its cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Roles {
    /// Serves the cluster's API.
    pub manager: bool,
    /// Runs containers.
    pub worker: bool,
    /// Keeps what managers and nodes share.
    pub store: bool,
}

impl Roles {
    /// Its roles, in the words of the file.
    pub fn words(self) -> Vec<&'static str> {
        let roles = [
            (self.manager, "manager"),
            (self.worker, "worker"),
            (self.store, "store"),
        ];
        let has = roles.into_iter().filter(|(has, _)| *has);
        has.map(|(_, word)| word).collect()
    }
}

impl Cluster {
    /// The machine that others join: the first manager of the file.
    pub fn first_manager(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.roles.manager)
    }

    /// The machine of this name.
    pub fn member(&self, name: &MachineName) -> Option<&Member> {
        self.members.iter().find(|member| member.name() == name)
    }

    /// The machine that begins the store: the first of the file with the role.
    pub fn first_store(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.roles.store)
    }
}

impl Member {
    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        &self.spec.name
    }
}
