use clap_complete::engine::ArgValueCompleter;
use rmachine_iso::{Cache, IsoError, IsoName};

use super::candidates;
use crate::cli::App;
use crate::cli::interrupt::unless_interrupted;
use crate::error::{CommandError, Status};

/// Remove ISOs from the cache
///
/// Machines have copies of their own and stay as they are.
#[derive(clap::Args)]
pub struct Args {
    /// The ISOs
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(candidates))]
    names: Vec<IsoName>,

    /// An ISO that is not there is no error
    #[arg(short, long)]
    force: bool,
}

/// Removes the ISOs.
pub async fn run(args: Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let mut errors = Vec::new();
    for name in &args.names {
        let line = app.ui.line(name.as_str());
        match unless_interrupted(cache.remove(name, &line)).await? {
            Ok(()) => line.done("removed"),
            Err(IsoError::Unknown { .. }) if args.force => line.done("was not there"),
            Err(error) => {
                let error = CommandError::from(error);
                line.failed(&error);
                errors.push(error);
            }
        }
    }
    Ok(app.ui.errors(&errors))
}
