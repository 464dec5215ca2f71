//! The `rswarm` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    rswarm::cli::run(std::env::args_os())
}
