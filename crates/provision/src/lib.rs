//! Makes a host a Docker machine: facts → plan → apply.
//!
//! One script over one SSH run reads everything about a host ([`Facts`]). A pure function turns
//! the facts and what is [`Wanted`] into a [`Plan`], or into [`Refusals`] with what to do about
//! each. One script applies the plan: it keeps what was there before, replaces files atomically,
//! restarts only what a change needs, and puts everything back when the engine does not come up.
//!
//! This crate must not know the command line, the store, drivers or certificates: it takes PEM
//! texts and an [`Ssh`](rmachine_ssh::Ssh). It never runs the docker CLI on a host.
//!
//! Start reading at [`converge`], then [`plan()`].

mod apply;
mod env_var;
mod error;
mod facts;
mod family;
mod options;
mod outcome;
mod plan;
mod program;
mod restore;
mod script;
mod template;
pub mod tls_paths;
mod wanted;

pub use apply::{Applied, apply, converge, read_facts};
pub use env_var::EnvVar;
pub use error::{ProvisionError, Refusals};
pub use facts::{
    EngineFacts, EngineVersion, Facts, FileFacts, Init, Interface, InvalidEngineVersion, Listener,
    Masked, OsRelease, PackageManager, ServiceFacts, Socket, TlsFile, Unfinished, facts_script,
};
pub use plan::{FileWrite, Plan, Stage, Step, plan};
pub use program::ProgramPackage;
pub use restore::{Restored, restore};
pub use wanted::{
    Bind, EngineInstall, EngineOption, EngineSettings, InvalidSetting, TlsMaterial, Wanted,
};
