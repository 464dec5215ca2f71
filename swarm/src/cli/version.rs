use rmachine_core::libraries;

use super::{Failure, print};

/// What `--version` prints.
pub const TEXT: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

/// Print the version
#[derive(clap::Args)]
pub struct Args {
    /// List the bundled libraries and their versions too
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut text = format!("rswarm {TEXT}\n");
    if args.verbose {
        // libssh2 is a part of rmachine only.
        for (name, version) in libraries::locked().filter(|(name, _)| *name != "libssh2-sys") {
            text.push_str(&format!("{name} {version} (bundled)\n"));
        }
    }
    print(&text)
}
