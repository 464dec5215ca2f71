use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use rmachine_companion::{Architecture, Image};

use super::Failure;

/// Write this very program as an image: rswarm image | docker load
#[derive(clap::Args)]
pub struct Args {
    /// The image's name
    #[arg(long, value_name = "NAME", default_value = concat!("rswarm:", env!("CARGO_PKG_VERSION")))]
    tag: String,

    /// Where to, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    if cfg!(not(target_feature = "crt-static")) {
        return Err(Failure::of(
            "this rswarm needs its host's libraries, which an image has not; install.sh builds one \
             that needs none",
        ));
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "an image is nothing for a terminal; name a file with --output, or pipe it to docker load",
        ));
    }
    let architecture = Architecture::current()
        .ok_or_else(|| Failure::of("there are images for amd64 and arm64 only"))?;
    let binary = std::fs::read(std::env::current_exe()?)?;
    let image = Image::of(&binary, architecture, env!("CARGO_PKG_VERSION"))?;
    let archive = image.archive(&args.tag)?;
    match args.output {
        Some(path) => std::fs::write(path, archive)?,
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(&archive)?;
            out.flush()?;
        }
    }
    tracing::info!("{} is {}", args.tag, image.id());
    Ok(())
}
