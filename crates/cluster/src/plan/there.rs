use std::collections::BTreeMap;

use rmachine_driver::{Driver, MachineName, MachineState};
use rmachine_machine::{EngineOptions, Phase, Record, StoreKind, SwarmMode, SwarmOptions};
use time::OffsetDateTime;

use crate::journal::{Owned, since};

/// What was found of a cluster.
#[derive(Clone, Debug, Default)]
pub struct There {
    /// What the cluster owns, by its journal.
    pub owned: BTreeMap<MachineName, Owned>,
    /// The machines of the store that the file names or the cluster owns.
    pub machines: BTreeMap<MachineName, Found>,
}

/// A machine of the store.
#[derive(Clone, Debug)]
pub enum Found {
    /// What is known of it.
    Machine(Box<Seen>),
    /// Its record or its driver cannot be read, for this reason.
    Unreadable(String),
}

/// What is known of a machine.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its driver.
    pub driver: String,
    /// The first phase that is not done; `None` for a machine that is ready.
    pub next: Option<Phase>,
    /// When it was begun.
    pub since: Option<OffsetDateTime>,
    /// What its engine was asked to be.
    pub engine: EngineOptions,
    /// The further names in its engine's certificate.
    pub tls_sans: Vec<String>,
    /// Its part in a classic cluster.
    pub swarm: SwarmOptions,
    /// Its part in a swarm of swarm mode.
    pub swarm_mode: Option<SwarmMode>,
    /// The store that it has a server of.
    pub store: Option<StoreKind>,
    /// Its state; `None` where the driver could not tell in time.
    pub state: Option<MachineState>,
    /// What its driver made is no longer there.
    pub gone: bool,
    /// It can be powered on.
    pub power: bool,
    /// Its engine is ours to configure.
    pub provisioned: bool,
}

impl Seen {
    /// What the record and the driver tell without asking the machine itself.
    pub fn of(record: &Record, driver: &dyn Driver) -> Self {
        let capabilities = driver.capabilities();
        Self {
            driver: record.driver_name().to_owned(),
            next: record.own.journal.next(),
            since: since(record),
            engine: record.engine.clone(),
            tls_sans: record.auth.server_cert_sans.clone(),
            swarm: record.swarm.clone(),
            swarm_mode: record.own.swarm_mode.clone(),
            store: record.own.store.as_ref().map(|server| server.kind),
            state: None,
            gone: false,
            power: capabilities.power,
            provisioned: capabilities.provisioned,
        }
    }
}
