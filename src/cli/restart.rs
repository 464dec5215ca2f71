use super::App;
use super::each::{each, existing};
use super::names::SomeNames;
use crate::error::{CommandError, Status};

/// Reboot machines, and wait until their engines answer
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Reboots the machines, all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = existing(args.names, app)?;
    let machines = &app.machines;
    each(app, &names, async |name, line| {
        machines.restart(name, line, &app.ui).await?;
        Ok("restarted".to_owned())
    })
    .await
}
