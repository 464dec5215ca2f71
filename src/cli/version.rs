use std::time::Duration;

use rmachine_core::printable;

use super::App;
use super::client::Client;
use super::names::OneName;
use crate::error::{CommandError, Status};

/// What `--version` prints after the program's name.
pub const TEXT: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

const LIMIT: Duration = Duration::from_secs(20);

/// Print the version of rmachine, or of a machine's engine
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: OneName,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    if !args.name.is_given() {
        app.ui.data(&format!("rmachine {TEXT}\n"))?;
        return Ok(Status::OK);
    }
    let machine = args.name.machine(app)?;
    let name = machine.name().as_str();
    let client = Client::of(app, &machine).await?;
    let version = client.engine(LIMIT)?.version().await;
    let version = version.map_err(|error| CommandError::of_engine(error, name))?;
    let version = printable::line(&version.version);
    app.ui.data(&format!("{version}\n"))?;
    Ok(Status::OK)
}
