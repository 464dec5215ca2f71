use super::App;
use crate::error::{CommandError, Status};

/// What `--version` prints after the program's name.
pub const TEXT: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

/// Print the version of rmachine
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args, app: &App) -> Result<Status, CommandError> {
    app.ui.data(&format!("rmachine {TEXT}\n"))?;
    Ok(Status::OK)
}
