use futures_util::future::join_all;

use super::names::SomeNames;
use super::{App, told_of_each};
use crate::error::{CommandError, Status};

/// Print the state of machines, a line for each
///
/// Running, Paused, Saved, Stopped, Stopping, Starting, Error or Timeout; an empty line where the
/// driver cannot tell.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.names.machines(app)?;
    let states = join_all(machines.iter().map(async |machine| {
        let state = machine.driver.state().await;
        state.map(|state| state.to_string())
    }));
    told_of_each(app, &machines, states.await)
}
