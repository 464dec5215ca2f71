use std::path::PathBuf;

use rmachine_iso::{Cache, IsoName, Sha256};

use super::{megabytes, one};
use crate::cli::App;
use crate::error::{CommandError, Status};

/// Copy an ISO that lies on this computer into the cache
#[derive(clap::Args)]
pub struct Args {
    /// The file
    file: PathBuf,

    /// Its name in the cache [default: the file's name without .iso]
    #[arg(long)]
    name: Option<IsoName>,

    /// The checksum that it must have
    #[arg(long, value_name = "DIGITS")]
    sha256: Option<Sha256>,

    /// Put it in the place of another one that has the name
    #[arg(long)]
    replace: bool,
}

/// Copies the ISO.
pub async fn run(args: Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let name = match args.name {
        Some(name) => name,
        None => {
            let file = args.file.file_name().unwrap_or_default();
            let parsed = file.to_string_lossy().parse::<IsoName>();
            parsed.map_err(|error| {
                CommandError::usage(error.to_string()).hint("rmachine iso import --name NAME FILE")
            })?
        }
    };
    one(app, &name, async |line| {
        let imported = cache.import(&args.file, &name, args.sha256, args.replace, line);
        let iso = imported.await?;
        Ok(format!("{}, {}", iso.label, megabytes(iso.size)))
    })
    .await
}
