use clap_complete::engine::ArgValueCompleter;
use rmachine_iso::{Cache, IsoName};

use super::candidates;
use crate::cli::App;
use crate::cli::interrupt::unless_interrupted;
use crate::error::{CommandError, Status};

/// Compute the checksums of ISOs anew, and compare them with what they were
///
/// Prints lines as sha256sum does.
#[derive(clap::Args)]
pub struct Args {
    /// The ISOs [default: all]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates))]
    names: Vec<IsoName>,
}

/// Verifies the ISOs.
pub async fn run(args: Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let names = match args.names.is_empty() {
        true => cache.list()?.into_iter().map(|(name, _)| name).collect(),
        false => args.names,
    };
    let mut errors = Vec::new();
    let mut lines = String::new();
    for name in &names {
        let line = app.ui.line(name.as_str());
        match unless_interrupted(cache.verify(name, &line)).await? {
            Ok(verdict) => {
                let iso = &verdict.iso;
                let sum = iso.sha256.map(|sum| sum.to_string()).unwrap_or_default();
                lines.push_str(&format!("{sum}  {}\n", iso.path.display()));
                line.done(match verdict.recorded {
                    Some(_) => "as it was",
                    None => "its checksum is written down now",
                });
            }
            Err(error) => {
                let error = CommandError::from(error);
                line.failed(&error);
                errors.push(error);
            }
        }
    }
    app.ui.data(&lines)?;
    Ok(app.ui.errors(&errors))
}
