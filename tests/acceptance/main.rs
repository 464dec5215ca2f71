//! The program on real hosts: what must work, and the bad days.
//!
//! Every test starts hosts of the lab (`tests/lab`) and runs the program as a person would. The
//! binary runs as many tests at once as the harness is told to; hosts mostly wait.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot set up its case has failed"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod access;
mod adoption;
mod boot;
mod certificates;
mod cluster;
mod cluster_file;
mod containers;
mod interruption;
mod owners_configuration;
mod person;
mod replicated;
#[path = "../../swarm/discovery/tests/servers/mod.rs"]
mod servers;
mod store;
mod stores;
mod tls;
