//! The manager on real engines: hosts of the lab with engines 20.10, 26 and 28 behind mutual TLS,
//! and Docker's own client.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../../../tests/lab/mod.rs"]
mod lab;

mod client;
mod compose;
mod containers;
mod info;
mod manager;
mod node;
mod party;
mod session;
mod step;
