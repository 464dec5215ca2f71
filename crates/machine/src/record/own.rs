use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use rmachine_driver::{FlagValues, MachineName, Resource};
use serde::{Deserialize, Serialize};

use crate::{Failure, Journal, PhaseTime};

/// What is ours alone in a record, under the key `Rmachine`.
///
/// docker-machine drops the key when it saves a record, so nothing here may be needed to reach a
/// machine that is ready.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Own {
    /// How far the machine has come.
    pub journal: Journal,
    /// What the driver made and has not removed, oldest first.
    pub owned: Vec<Resource>,
    /// The driver's flags that the machine was begun with, but for those that were as by default.
    pub flags: Option<FlagValues>,
    /// The kind of the machine's private keys, in the words of `--tls-key-type`.
    pub tls_key_type: Option<String>,
    /// How an engine gets onto the machine, in the words of `--engine-install`.
    pub engine_install: Option<String>,
    /// The master whose cluster the machine joined, where that master keeps the nodes itself.
    pub swarm_join: Option<MachineName>,
    /// The engine's part in a swarm of Docker's swarm mode.
    pub swarm_mode: Option<SwarmMode>,
    /// The server of a store, for clusters, that runs on the machine.
    pub store: Option<StoreServer>,
}

/// What is asked of a machine with a server of a store, and what came of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoreServer {
    /// Which store it is.
    pub kind: StoreKind,
    /// A machine with a server that was there before; `None` for the one that begins the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<MachineName>,
    /// What it runs.
    pub source: StoreSource,
    /// Where its clients and the other servers reach it; `None` until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The servers that there were when it joined, in the words of its command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
}

/// What the server of a store runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub enum StoreSource {
    /// A program of this computer.
    Program(PathBuf),
    /// An image of a registry.
    Image(String),
    /// The program that the distribution of its host has.
    Package,
}

/// The stores that rmachine can start.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// etcd.
    Etcd,
    /// Consul.
    Consul,
}

impl StoreKind {
    /// The words for all of them.
    pub const NAMES: [&str; 2] = ["etcd", "consul"];

    /// The word of flags and URLs, and the name of its program.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Consul => "consul",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StoreKind {
    type Err = UnknownStoreKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "etcd" => Ok(Self::Etcd),
            "consul" => Ok(Self::Consul),
            _ => Err(UnknownStoreKind(text.to_owned())),
        }
    }
}

/// The text names no store that rmachine can start.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no store that rmachine can start: etcd or consul")]
pub struct UnknownStoreKind(pub String);

/// What is asked of an engine in Docker's swarm mode.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SwarmMode {
    /// Whether it is a manager.
    pub manager: bool,
    /// The manager whose swarm it joins; `None` for the one that begins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<MachineName>,
    /// `--swarm-addr`; empty for the machine's address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl Own {
    /// For a record without the key: docker-machine wrote it, and the machine counts as ready.
    pub(super) fn made_elsewhere() -> Self {
        Self {
            journal: Journal::made_elsewhere(),
            ..Self::default()
        }
    }
}

/// [`Own`] as it is written.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct OwnJson {
    phases: Vec<PhaseTime>,
    begun: Option<PhaseTime>,
    last_error: Option<Failure>,
    owned: Vec<Resource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<FlagValues>,
    tls_key_type: Option<String>,
    engine_install: Option<String>,
    swarm_join: Option<MachineName>,
    swarm_mode: Option<SwarmMode>,
    store: Option<StoreServer>,
}

impl From<OwnJson> for Own {
    fn from(json: OwnJson) -> Self {
        Self {
            journal: Journal::from_parts(json.phases, json.begun, json.last_error),
            owned: json.owned,
            flags: json.flags,
            tls_key_type: json.tls_key_type,
            engine_install: json.engine_install,
            swarm_join: json.swarm_join,
            swarm_mode: json.swarm_mode,
            store: json.store,
        }
    }
}

impl From<&Own> for OwnJson {
    fn from(own: &Own) -> Self {
        Self {
            phases: own.journal.done_phases().to_vec(),
            begun: own.journal.begun().cloned(),
            last_error: own.journal.last_error().cloned(),
            owned: own.owned.clone(),
            flags: own.flags.clone(),
            tls_key_type: own.tls_key_type.clone(),
            engine_install: own.engine_install.clone(),
            swarm_join: own.swarm_join.clone(),
            swarm_mode: own.swarm_mode.clone(),
            store: own.store.clone(),
        }
    }
}
