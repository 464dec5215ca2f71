use futures_util::future::join_all;

use super::names::SomeNames;
use super::{App, told_of_each};
use crate::error::{CommandError, Status};

/// Print the address of machines, a line for each
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.names.machines(app)?;
    let addresses = join_all(machines.iter().map(async |machine| {
        let address = machine.driver.address().await;
        address.map(|address| address.to_string())
    }));
    told_of_each(app, &machines, addresses.await)
}
