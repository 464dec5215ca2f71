use rmachine_driver::MachineName;

use super::App;
use super::cluster::{FileArg, take, take_down};
use super::interrupt::unless_interrupted;
use super::up::JOBS;
use crate::error::{CommandError, Status};

/// Remove the machines that a cluster owns, and nothing else
///
/// Of the file only the cluster's name is read. Failures do not stop it; running it again goes on
/// with what is left.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArg,

    /// The cluster's name, in place of a file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "option"])]
    cluster: Option<MachineName>,

    /// Give adopted hosts' engines the configuration back that they had before
    #[arg(long)]
    restore: bool,

    /// How many machines are worked on at the same time
    #[arg(short, long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let name = match args.cluster {
        Some(name) => name,
        None => args.file.read_name(app)?,
    };
    let guard = take(app, &name)?;
    if guard.journal().is_none() {
        app.ui.note(&format!("cluster {name}: nothing to remove"));
        return Ok(Status::OK);
    }
    let work = take_down(app, &guard, args.jobs, args.restore);
    let outcome = unless_interrupted(work).await??;
    let removed = outcome.worked - outcome.errors.len();
    app.ui.note(&format!("cluster {name}: {removed} removed"));
    Ok(outcome.told(app))
}
