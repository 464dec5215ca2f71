//! One SSH connection a host, many commands.
//!
//! Two backends pass the same conformance tests: the system's `ssh` with a multiplexed connection,
//! and a native one (libssh2; left out without the feature `native`). This crate runs scripts and writes files on a host, pins its key
//! and becomes root on it; it knows nothing of engines, machines or the store, reads no environment
//! variable and prints nothing. Start reading at [`Ssh`], then [`connect`].

#![cfg_attr(
    not(feature = "native"),
    allow(dead_code, reason = "the native backend shares these helpers")
)]

mod api;
mod connect;
mod copy;
mod error;
mod identity;
mod interactive;
mod known_hosts;
#[cfg(feature = "native")]
mod native;
mod options;
mod program;
mod resolve;
mod script;
mod session;
mod sudo;
mod system;
mod transport;

pub use api::{Output, Privilege, Run, Ssh, Upload};
pub use connect::{
    Backend, ConnectOptions, Environment, HAS_NATIVE_BACKEND, connect, wait_until_reachable,
};
pub use copy::{Copy, CopyEnd, CopyFlags, CopyPath, copy_command};
pub use error::{SshError, UnreachableReason};
pub use identity::{Protection, inspect_identity};
pub use interactive::interactive_command;
pub use known_hosts::{HostKey, InvalidHostKey, pin, pinned};
#[cfg(feature = "native")]
pub use native::{NativeLibraries, native_libraries};
pub use resolve::{ResolvedEndpoint, resolve};
pub use sudo::check_password_file;
