//! One SSH connection a host, many commands.
//!
//! Two backends pass the same conformance tests: the system's `ssh` with a multiplexed connection,
//! and a native one (libssh2). This crate runs scripts and writes files on a host, pins its key
//! and becomes root on it; it knows nothing of engines, machines or the store, reads no environment
//! variable and prints nothing. Start reading at [`Ssh`], then [`connect`].

mod api;
mod connect;
mod error;

pub use api::{Output, Privilege, Run, Ssh, Upload};
pub use connect::{Backend, ConnectOptions, Environment, connect, wait_until_reachable};
pub use error::{SshError, UnreachableReason};
