//! The native backend: libssh2 in a thread of its own for each host.
//!
//! libssh2 blocks and takes one caller at a time, so commands of one host take turns.

mod authenticate;
mod channel;
mod destination;
mod libraries;
mod login;
mod worker;

pub use libraries::{NativeLibraries, native_libraries};
pub(crate) use worker::Worker;
