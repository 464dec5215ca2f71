use std::time::Duration;

use rmachine_companion::CompanionError;
use rmachine_driver::{CheckFailure, DriverError, FlagValues, MachineName};
use rmachine_engine::EngineError;
use rmachine_machine::{ApprovalError, Phase, StoreError, StoreKind};
use rmachine_pki::{InvalidKeyType, PkiError};
use rmachine_provision::{InvalidSetting, ProvisionError};
use rmachine_ssh::SshError;

use crate::awaited::Lost;
use crate::{InvalidSwarmHost, StoreRefusal, SwarmModeRefusal, SwarmRefusal};

/// Why a machine is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// No driver has this name.
    #[error("there is no driver {name:?}")]
    UnknownDriver {
        /// What was asked for.
        name: String,
        /// The drivers that there are.
        known: Vec<&'static str>,
    },

    /// The list of paths that the user approved cannot be used.
    #[error(transparent)]
    Approvals(#[from] ApprovalError),

    /// A URL that would be stored has a user or a password in it.
    #[error(
        "{field} would be a URL with a user or a password in it, and records hold none of these"
    )]
    CredentialsInUrl {
        /// The field of the record.
        field: String,
    },

    /// A half-made machine was made with another driver.
    #[error("the half-made machine {name} belongs to the {driver} driver")]
    OtherDriver {
        /// The machine.
        name: MachineName,
        /// Its driver.
        driver: String,
    },

    /// A half-made machine was begun with other options of its driver.
    #[error("the half-made machine {name} was begun with other options than {asked}")]
    OtherOptions {
        /// The machine.
        name: MachineName,
        /// Its driver.
        driver: String,
        /// Those that it was begun with.
        begun: FlagValues,
        /// Those that are asked for now and differ.
        asked: FlagValues,
    },

    /// The machine is not made to its end.
    #[error("the machine {name} is half-made: it has to become {next} next")]
    HalfMade {
        /// The machine.
        name: MachineName,
        /// The first phase that is not done.
        next: Phase,
    },

    /// Reasons against making the machine; nothing was touched.
    #[error("the pre-create check failed")]
    Check(Vec<CheckFailure>),

    /// The host could not be looked at; nothing was touched.
    #[error("the pre-create check failed")]
    Untouched(#[source] Box<LifecycleError>),

    /// A setting of the engine cannot be read.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),

    /// The record names a kind of key that there is not.
    #[error(transparent)]
    KeyType(#[from] InvalidKeyType),

    /// The machine's engine is not ours to set up.
    #[error("the {driver} driver's machines are not provisioned")]
    NotProvisioned {
        /// The driver.
        driver: String,
    },

    /// A host that was not adopted has nothing to be restored to.
    #[error("the machine {name} was made by its driver, so there is nothing to restore")]
    NotAdopted {
        /// The machine.
        name: MachineName,
    },

    /// A certificate or key of the shared ones cannot be used.
    #[error("cannot use {what}")]
    Certificate {
        /// Which: a path, or what it is for.
        what: String,
        /// Why.
        #[source]
        source: PkiError,
    },

    /// One of a pair of files is there, and the other is not.
    #[error("{present} is there, but {missing} is missing")]
    HalfPair {
        /// The file that is there.
        present: String,
        /// The file that belongs to it.
        missing: String,
    },

    /// The engine does not answer as `env` says it does.
    #[error("the engine of {name} does not answer at {url}")]
    EngineSilent {
        /// The machine.
        name: MachineName,
        /// Where it should.
        url: String,
        /// What the last try showed.
        #[source]
        source: Box<EngineError>,
    },

    /// The machine cannot be a part of the cluster that was asked for.
    #[error(transparent)]
    Swarm(#[from] SwarmRefusal),

    /// The master that the machine is to join will not be there.
    #[error("the master {master} {why}, so nobody can join it")]
    MasterLost {
        /// The master.
        master: MachineName,
        /// What has become of it.
        why: Lost,
    },

    /// The master that the machine is to join is still being made.
    #[error("waited {} s for the master {master}, {}", .waited.as_secs(), at_work(.next))]
    MasterAwaited {
        /// The master.
        master: MachineName,
        /// How long.
        waited: Duration,
        /// The first of its phases that is not done.
        next: Option<Phase>,
    },

    /// The engine cannot become the node of a swarm that was asked for.
    #[error(transparent)]
    SwarmMode(#[from] SwarmModeRefusal),

    /// The engine does not do what its swarm takes.
    #[error(transparent)]
    Engine(#[from] EngineError),

    /// The record names no place where a manager can listen.
    #[error(transparent)]
    SwarmHost(#[from] InvalidSwarmHost),

    /// What was to be advertised is nothing of the host.
    #[error("{asked:?} is no interface of the host with an address, and no address")]
    SwarmAddress {
        /// What was asked for.
        asked: String,
        /// The host's interfaces.
        interfaces: Vec<String>,
    },

    /// The companion does not run.
    #[error(transparent)]
    Companion(#[from] CompanionError),

    /// The cluster's manager does not answer as `env --swarm` says it does.
    #[error("the manager of {name} does not answer at {url}")]
    ManagerSilent {
        /// The machine.
        name: MachineName,
        /// Where it should.
        url: String,
        /// The last lines of its log.
        log: Vec<String>,
        /// What the last try showed.
        #[source]
        source: Box<EngineError>,
    },

    /// The cluster's manager does not call the machine healthy.
    #[error("{master} does not call the node {name} healthy: {seen}")]
    NotAMember {
        /// The machine.
        name: MachineName,
        /// The machine whose manager was asked.
        master: MachineName,
        /// What it says.
        seen: String,
        /// The last lines of the agent's log.
        log: Vec<String>,
    },

    /// A container on one machine was not answered by one on another.
    #[error("a container on {from} does not reach one on {to} at {url}")]
    Unreached {
        /// Where it asked.
        from: MachineName,
        /// Where it was to be answered.
        to: MachineName,
        /// The published port that it asked at.
        url: String,
        /// The last lines of what it said.
        log: Vec<String>,
    },

    /// An engine started a container and published no port of it.
    #[error("the engine published no port of a container, which is {state}")]
    NotPublished {
        /// The container's state, in the engine's word.
        state: String,
    },

    /// A store, or the machine's part in one, cannot be had.
    #[error(transparent)]
    StoreServer(#[from] StoreRefusal),

    /// The server of a store is no part of it.
    #[error("the {kind} of {name} is not ready: {reason}")]
    StoreSilent {
        /// The machine.
        name: MachineName,
        /// Which store.
        kind: StoreKind,
        /// What the last question showed.
        reason: String,
        /// The last lines of its log.
        log: Vec<String>,
    },

    /// What was made could not be taken away again after a failure.
    #[error("{failure}; and what was made could not be taken away again")]
    RollbackFailed {
        /// The failure that came first.
        failure: Box<LifecycleError>,
        /// Why it could not be taken away.
        #[source]
        source: Box<LifecycleError>,
    },

    /// Of the driver.
    #[error(transparent)]
    Driver(DriverError),

    /// Of the host's provisioning.
    #[error(transparent)]
    Provision(ProvisionError),

    /// Of the connection to the host.
    #[error(transparent)]
    Ssh(#[from] SshError),

    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DriverError> for LifecycleError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Check(failures) => Self::Check(failures),
            other => Self::Driver(other),
        }
    }
}

impl From<ProvisionError> for LifecycleError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Refused(refusals) => Self::Check(refusals.0),
            ProvisionError::Ssh(error) => Self::Ssh(error),
            other => Self::Provision(other),
        }
    }
}

/// What somebody is still doing with a machine.
fn at_work(next: &Option<Phase>) -> String {
    match next {
        Some(next) => format!("which has to become {next} next"),
        None => "which somebody works on".to_owned(),
    }
}
