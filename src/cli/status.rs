use std::path::PathBuf;

use futures_util::future::join_all;

use super::cluster::{FileArg, How, Known, show};
use super::names::SomeNames;
use super::{App, told_of_each};
use crate::error::{CommandError, Status};

/// Print the state of machines, a line for each
///
/// Running, Paused, Saved, Stopped, Stopping, Starting, Error or Timeout; an empty line where the
/// driver cannot tell. With '--file', how the cluster of that file is, as 'cluster status' shows it.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// The file of a cluster, in place of machines
    #[arg(long, value_name = "FILE", conflicts_with = "names",
          value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,

    #[command(flatten)]
    how: How,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    if let Some(file) = args.file {
        let known = Known::of_file(&FileArg::at(file).read(app)?);
        return show(app, &known, &args.how).await;
    }
    if args.how.is_given() {
        return Err(CommandError::usage(
            "--wait, --timeout and --format are for clusters: name one with --file",
        ));
    }
    let machines = args.names.machines(app)?;
    let states = join_all(machines.iter().map(async |machine| {
        let state = machine.driver.state().await;
        state.map(|state| state.to_string())
    }));
    told_of_each(app, &machines, states.await)
}
