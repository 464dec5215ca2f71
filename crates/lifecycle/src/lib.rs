//! What a machine goes through: create, start, provision, remove.
//!
//! This crate joins the parts: a driver makes or adopts the host, SSH reaches it, provisioning
//! sets its engine up, the engine's answer over mutual TLS ends the work, and the journal in the
//! store knows after each phase how far it has come. It prints nothing and knows no flags. Start
//! reading at [`Machines`], then `create.rs`.

mod awaited;
mod bounds;
mod certificates;
mod create;
mod credentials;
mod engine;
mod engine_turn;
mod error;
mod host;
mod machines;
mod names;
mod note;
mod options;
mod power;
mod provision;
mod reach;
mod remove;
mod restricted;
mod snapshot;
mod spec;
mod store;
mod swarm;
mod swarm_mode;
mod trust;
mod wanted;
mod watch;

pub use awaited::Lost;
pub use create::{Created, OnFailure};
pub use error::LifecycleError;
pub use machines::{Machines, Settings};
pub use provision::Provisioned;
pub use remove::Removal;
pub use spec::{EngineRequest, MachineSpec, Orchestrator, StoreRequest, SwarmRequest};
pub use store::{Reference, StoreRefusal};
pub use swarm::{EMBEDDED, InvalidSwarmHost, Standing, SwarmHost, SwarmRefusal, standing};
pub use swarm_mode::SwarmModeRefusal;
pub use trust::OfferedHostKey;
