//! What the program prints and how it exits, on stores that need no real host.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod completion;
mod engine;
mod env;
mod hostile;
mod inspect;
mod iso;
mod ls;
mod names;
mod options;
mod output;
#[path = "../lab/program.rs"]
mod program;
mod snapshot;
mod start;
mod world;
