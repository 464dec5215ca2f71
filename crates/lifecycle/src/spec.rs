use rmachine_driver::{FlagValues, MachineName};
use rmachine_machine::{EngineOptions, StoreKind, StoreSource, SwarmOptions};
use rmachine_pki::KeyType;
use rmachine_provision::EngineInstall;

/// What `create` was asked for.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// The machine's name.
    pub name: MachineName,
    /// The name of its driver.
    pub driver: String,
    /// The driver's flags.
    pub flags: FlagValues,
    /// What is asked of the engine.
    pub engine: EngineRequest,
    /// Its part in a cluster; `None` for a machine that is in none.
    pub swarm: Option<SwarmRequest>,
    /// The server of a store that is to run on it.
    pub store: Option<StoreRequest>,
}

/// What is asked of a machine with a server of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreRequest {
    /// Which store.
    pub kind: StoreKind,
    /// A machine with a server of the store that this one joins; `None` begins a store.
    pub join: Option<MachineName>,
    /// What it runs; `None` for what the server runs that it joins, or for the program of the
    /// store's name on this computer.
    pub source: Option<StoreSource>,
}

/// What is asked of a machine as a part of a cluster.
#[derive(Clone, Debug, Default)]
pub struct SwarmRequest {
    /// As the record keeps them. Without a discovery the cluster's first master serves one.
    pub options: SwarmOptions,
    /// The master whose cluster the machine joins, when it serves the discovery itself; `None` for
    /// the only one that there is. In swarm mode: the manager whose swarm it joins; a manager
    /// without one begins a swarm.
    pub join: Option<MachineName>,
    /// Who makes the machines a cluster.
    pub orchestrator: Orchestrator,
}

/// Who makes machines a cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Orchestrator {
    /// Managers and agents beside the engines, as in classic Swarm.
    #[default]
    Classic,
    /// The engines themselves, in Docker's swarm mode.
    SwarmMode,
}

/// What is asked of a machine's engine.
#[derive(Clone, Debug)]
pub struct EngineRequest {
    /// docker-machine's `--engine-*` flags.
    pub options: EngineOptions,
    /// Where a missing engine comes from.
    pub install: EngineInstall,
    /// `--tls-san`: further names and addresses of the engine.
    pub tls_sans: Vec<String>,
    /// The kind of the private keys that are made.
    pub tls_key: KeyType,
}
