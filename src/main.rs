//! The `rmachine` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmachine::run(rmachine::Process::current())
}
