//! The driver contract: what a driver of machines must do, and the data it does it with.
//!
//! A driver makes hosts (a virtual machine, a system container) or adopts them. This crate holds
//! the [`Driver`] trait with its contract, the [`Capabilities`] that callers read in place of
//! driver names, and [`DriverFlag`]s as data. It performs no I/O and knows neither the command
//! line nor the store. Start reading at [`Driver`].

mod driver;
mod endpoint;
mod error;
mod flag;
mod name;
mod report;
mod resource;
mod secret;
mod snapshot;
mod state;
mod url_credentials;

pub use driver::{Capabilities, Driver, DriverConfig, DriverContext, DriverKind, NamedFile, Work};
pub use endpoint::{FirstContact, HostAddress, InvalidHostAddress, SshEndpoint};
pub use error::{CheckFailure, DriverError, Operation};
pub use flag::{DriverFlag, FlagError, FlagKind, FlagValue, FlagValues};
pub use name::{InvalidMachineName, MachineName};
pub use report::{Report, Silent};
pub use resource::{Resource, ResourceJournal, Unrecorded};
pub use secret::{NoSecrets, Secret, Secrets};
pub use snapshot::{InvalidSnapshotName, Snapshot, SnapshotName};
pub use state::{MachineState, UnknownMachineState};
pub use url_credentials::{has_url_credentials, hide_url_credentials};
