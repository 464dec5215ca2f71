//! What the program prints and how it exits, on stores that need no real host.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod completion;
mod dry_run;
mod engine;
mod env;
mod inspect;
mod iso;
mod ls;
mod names;
mod options;
mod output;
#[path = "../lab/program.rs"]
mod program;
mod snapshot;
#[allow(
    dead_code,
    clippy::panic,
    clippy::print_stdout,
    reason = "shared with the tests of rmachine-ssh"
)]
#[path = "../../crates/ssh/tests/lab/mod.rs"]
mod sshd;
mod start;
mod trust;
mod url_credentials;
mod world;
