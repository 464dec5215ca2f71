//! `cluster`: what is kept of clusters; and what `up`, `plan`, `down`, `run` and `gc` share.
//!
//! `file` finds and reads the cluster's file, `work` does the steps of a plan with a line of
//! progress each, `health` waits for healthy nodes, `list` is `cluster ls`.

mod file;
mod health;
mod list;
mod work;

use super::App;
use crate::error::{CommandError, Status};

pub use file::{ClusterFile, FileArg};
pub use health::wait_until_healthy;
pub use work::{Bring, bring_up, clusters, look_and_plan, take, take_down};

/// Show clusters that were made from a file
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Ls(list::Args),
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    match args.command {
        Command::Ls(args) => list::run(args, app),
    }
}
