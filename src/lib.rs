//! The command line of rmachine.
//!
//! This crate turns arguments into calls on the libraries below and their answers into text: it
//! alone names clap, prints, asks, and chooses exit codes. It decides nothing about machines.
//! Start reading at [`run`], then `cli::Command`, then one command's file; [`error`] holds every
//! sentence that a person sees when something fails.

mod cli;
mod drivers;
pub mod error;
mod host;
mod ui;

use std::process::ExitCode;

pub use host::Process;

/// Runs the program once, and returns the exit code of `docs/exit-codes.md`.
pub fn run(process: Process) -> ExitCode {
    cli::run(process).into()
}
