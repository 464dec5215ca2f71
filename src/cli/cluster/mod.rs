//! `cluster`: how clusters are; and what `up`, `plan`, `down`, `run` and `gc` share.
//!
//! `file` finds and reads the cluster's file, `work` does the steps of a plan with a line of
//! progress each, `known` says which machines a cluster has, `health` asks them how they are,
//! `reach` tries whether their containers reach each other; `list` is `cluster ls`, `status` is
//! `cluster status`.

mod file;
mod health;
mod known;
mod list;
mod reach;
mod status;
mod work;

use super::App;
use crate::error::{CommandError, Status};

pub use file::{ClusterFile, FileArg};
pub use health::wait_until_healthy;
pub use known::Known;
pub use reach::containers_reach_each_other;
pub use status::{How, show};
pub use work::{Bring, bring_up, clusters, look_and_plan, take, take_down};

/// Show clusters
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Ls(list::Args),
    #[command(visible_alias = "info")]
    Status(status::Args),
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    match args.command {
        Command::Ls(args) => list::run(args, app),
        Command::Status(args) => status::run(args, app).await,
    }
}
