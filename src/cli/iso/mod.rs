//! `iso`: the ISOs that virtual machines boot from.

mod build;
mod import;
mod ls;
mod pull;
mod rm;
mod verify;

use std::ffi::OsStr;

use clap::Subcommand;
use clap_complete::engine::CompletionCandidate;
use rmachine_iso::{Cache, IsoName};

use super::interrupt::unless_interrupted;
use super::{App, names};
use crate::error::{CommandError, Status};
use crate::ui::Line;

/// Manage the ISOs that virtual machines boot from
///
/// They lie in the directory `cache` of the store, as NAME.iso. A file that was put there by hand
/// is as good as one that was pulled.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::Args),
    Import(import::Args),
    Ls(ls::Args),
    Pull(pull::Args),
    Rm(rm::Args),
    Verify(verify::Args),
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let cache = Cache::new(app.store.layout().cache_dir());
    match args.command {
        Command::Build(args) => build::run(args, app, &cache).await,
        Command::Import(args) => import::run(args, app, &cache).await,
        Command::Ls(args) => ls::run(&args, app, &cache),
        Command::Pull(args) => pull::run(args, app, &cache).await,
        Command::Rm(args) => rm::run(args, app, &cache).await,
        Command::Verify(args) => verify::run(args, app, &cache).await,
    }
}

/// Works on one ISO with a line of progress. What the work returns is the line's last text.
async fn one(
    app: &App,
    name: &IsoName,
    work: impl AsyncFnOnce(&Line<'_>) -> Result<String, CommandError>,
) -> Result<Status, CommandError> {
    let line = app.ui.line(name.as_str());
    match unless_interrupted(work(&line)).await? {
        Ok(text) => {
            line.done(&text);
            Ok(Status::OK)
        }
        Err(error) => {
            line.failed(&error);
            Err(error)
        }
    }
}

/// The names that a shell completes.
fn candidates(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(store) = names::store() else {
        return Vec::new();
    };
    let listed = Cache::new(store.layout().cache_dir()).list();
    let typed = typed.to_string_lossy();
    let names = listed.unwrap_or_default().into_iter().map(|(name, _)| name);
    names
        .filter(|name| name.as_str().starts_with(&*typed))
        .map(|name| CompletionCandidate::new(name.as_str()))
        .collect()
}

/// A length in megabytes.
fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}
