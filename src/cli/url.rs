use futures_util::future::join_all;

use super::names::SomeNames;
use super::{App, told_of_each};
use crate::error::{CommandError, Status};

/// Print the URL of machines' engines, a line for each
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.names.machines(app)?;
    let urls = join_all(machines.iter().map(|machine| machine.driver.url()));
    told_of_each(app, &machines, urls.await)
}
