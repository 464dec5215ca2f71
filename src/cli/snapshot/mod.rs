//! `snapshot`: states that machines can be put back to, alone or a whole cluster together.

mod create;
mod ls;
mod restore;
mod rm;

use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use futures_util::future::join_all;
use rmachine_cluster::{ClusterGuard, ClusterJournal};
use rmachine_driver::{MachineName, Snapshot};

use super::interrupt::unless_interrupted;
use super::names::candidates;
use super::{App, cluster};
use crate::error::{CommandError, Status};

/// Take, list, restore and remove snapshots of machines
///
/// A snapshot is a machine's disk and settings and, when it runs, its memory.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(create::Args),
    Ls(ls::Args),
    Restore(restore::Args),
    Rm(rm::Args),
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    match args.command {
        Command::Create(args) => create::run(args, app).await,
        Command::Ls(args) => ls::run(args, app).await,
        Command::Restore(args) => restore::run(args, app).await,
        Command::Rm(args) => rm::run(args, app).await,
    }
}

/// Whose snapshots are meant.
#[derive(clap::Args)]
struct Subject {
    /// The machine, or with '--cluster' the cluster
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates))]
    name: MachineName,

    /// NAME is a cluster of 'rmachine cluster ls': all its machines, or none
    #[arg(long)]
    cluster: bool,
}

/// The machines that are worked on.
struct Machines {
    names: Vec<MachineName>,
    /// Held while a cluster's machines are worked on: nobody adds one or takes one away.
    _cluster: Option<ClusterGuard>,
}

impl Subject {
    /// The machines, once it is clear that all of them can have snapshots.
    fn machines(&self, app: &App) -> Result<Machines, CommandError> {
        let cluster = self
            .cluster
            .then(|| cluster::take(app, &self.name))
            .transpose()?;
        let names = match &cluster {
            Some(guard) => members(guard.name(), guard.journal())?,
            None => vec![self.name.clone()],
        };
        can_have_snapshots(&names, app)?;
        Ok(Machines {
            names,
            _cluster: cluster,
        })
    }
}

/// The machines of a cluster.
fn members(
    cluster: &MachineName,
    journal: Option<ClusterJournal>,
) -> Result<Vec<MachineName>, CommandError> {
    let machines = journal.map_or_else(Default::default, |journal| journal.machines);
    if machines.is_empty() {
        let message = format!("there is no cluster {cluster} with machines");
        return Err(CommandError::failed(message).hint("rmachine cluster ls"));
    }
    Ok(machines.into_keys().collect())
}

fn can_have_snapshots(names: &[MachineName], app: &App) -> Result<(), CommandError> {
    for name in names {
        let driver = app.machine(name)?.driver;
        if !driver.capabilities().snapshots {
            return Err(CommandError::failed(format!(
                "the machine {name} is of the {} driver, which has no snapshots",
                driver.name()
            ))
            .hint("rmachine create -d virtualbox … (makes machines that have)"));
        }
    }
    Ok(())
}

/// The snapshots of each machine.
async fn look(
    app: &App,
    names: &[MachineName],
) -> Result<Vec<(MachineName, Vec<Snapshot>)>, CommandError> {
    let asked = names.iter().map(async |name| {
        let told = app.machines.snapshots(name).await;
        told.map(|snapshots| (name.clone(), snapshots))
            .map_err(|error| CommandError::of_lifecycle(error, name.as_str()))
    });
    let told = unless_interrupted(join_all(asked)).await?;
    told.into_iter().collect()
}

/// The names in one line.
fn listed<'a>(names: impl IntoIterator<Item = &'a MachineName>) -> String {
    let names: Vec<&str> = names.into_iter().map(MachineName::as_str).collect();
    names.join(", ")
}
