use super::{Failure, print};

/// What `--version` prints.
pub const TEXT: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

/// Print the version
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<(), Failure> {
    print(&format!("rswarm {TEXT}\n"))
}
