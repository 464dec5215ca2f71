//! The machine record, the store on disk, locks and the journal of phases.
//!
//! The store has docker-machine's layout and its `config.json` of version 3, so that both programs
//! work on one store. Whatever is ours alone lies under the record's key `Rmachine` and is never
//! required. This crate knows no driver, opens no connection and starts no program.
//!
//! Start reading at [`Store`]; a machine that is worked on is a [`MachineGuard`], one that is only
//! looked at is a [`Record`]; [`Journal`] says how far a machine has come.

mod approved_paths;
mod atomic;
mod certificates;
mod error;
mod guard;
mod journal;
mod layout;
mod lock;
mod record;
mod store;

pub use approved_paths::{ApprovalError, ApprovedPaths};
pub use atomic::{make_private_dir, remove_dir, remove_unfinished, write_private, write_public};
pub use certificates::{CertificateOverrides, CertificatePaths, SharedPem};
pub use error::StoreError;
pub use guard::MachineGuard;
pub use journal::{Failure, Journal, Phase, PhaseTime, UnknownPhase};
pub use layout::{Layout, MachineFile};
pub use lock::{CertificateLock, FileLock, Locked, MachineLock, is_locked, lock_file};
pub use record::{
    AuthOptions, EngineOptions, Own, Record, StoreKind, StoreServer, StoreSource, SwarmMode,
    SwarmOptions, UnknownStoreKind,
};
pub use store::{Listed, Store};
