use super::App;
use super::each::{each, existing};
use super::names::SomeNames;
use crate::error::{CommandError, Status};

/// Cut machines' power
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Cuts the machines' power, all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = existing(args.names, app)?;
    let machines = &app.machines;
    each(app, &names, async |name, line| {
        machines.kill(name, line, &app.ui).await?;
        Ok("killed".to_owned())
    })
    .await
}
