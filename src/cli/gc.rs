use std::time::Duration;

use rmachine_cluster::ClusterError;
use rmachine_driver::MachineName;
use time::OffsetDateTime;

use super::App;
use super::cluster::{clusters, take_down};
use super::interrupt::unless_interrupted;
use super::up::JOBS;
use crate::error::{CommandError, Status};

/// Remove clusters whose time is over
///
/// A cluster has a time when its file or 'up --ttl' gave one. One that 'run' made and was kept from
/// removing is over when that process has ended. Clusters without a time stay.
#[derive(clap::Args)]
pub struct Args {
    /// Print the clusters that would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// How many machines are worked on at the same time
    #[arg(short, long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// Removes one cluster after the other, and goes on past failures.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = clusters(app).names().map_err(CommandError::of_cluster)?;
    let mut errors = Vec::new();
    for name in names {
        match unless_interrupted(collect(app, &name, &args)).await? {
            Ok(more) => errors.extend(more),
            Err(error) => errors.push(error),
        }
    }
    Ok(app.ui.errors(&errors))
}

async fn collect(
    app: &App,
    name: &MachineName,
    args: &Args,
) -> Result<Vec<CommandError>, CommandError> {
    let over = |journal: &rmachine_cluster::ClusterJournal| {
        journal.is_over(OffsetDateTime::from(app.process.now()))
    };
    let journal = clusters(app).load(name).map_err(CommandError::of_cluster)?;
    if !journal.as_ref().is_some_and(over) {
        return Ok(Vec::new());
    }
    // A dry run takes no lock, which would leave a lock file.
    if args.dry_run {
        let busy = clusters(app).is_worked_on(name);
        if busy.map_err(CommandError::of_cluster)? {
            return Ok(Vec::new());
        }
        app.ui.data(&format!("{name}\n"))?;
        return Ok(Vec::new());
    }
    let guard = match clusters(app).take(name, Duration::ZERO) {
        Ok(guard) => guard,
        // Somebody works on it, so somebody wants it.
        Err(ClusterError::Busy { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(CommandError::of_cluster(error)),
    };
    // It may have been brought up again since.
    if !guard.journal().as_ref().is_some_and(over) {
        return Ok(Vec::new());
    }
    let outcome = take_down(app, &guard, args.jobs, false).await?;
    if outcome.errors.is_empty() {
        app.ui
            .note(&format!("cluster {name}: removed, its time was over"));
    }
    Ok(outcome.errors)
}
