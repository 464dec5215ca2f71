use super::App;
use super::each::{each, existing};
use super::names::SomeNames;
use crate::error::{CommandError, Status};

/// Shut machines down in order
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Shuts the machines down, all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = existing(args.names, app)?;
    let machines = &app.machines;
    each(app, &names, async |name, line| {
        machines.stop(name, line, &app.ui).await?;
        Ok("stopped".to_owned())
    })
    .await
}
