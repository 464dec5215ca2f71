use std::time::{Duration, SystemTime};

use rmachine_cluster::Lease;
use time::OffsetDateTime;

use super::App;
use super::cluster::{
    Bring, FileArg, Known, bring_up, containers_reach_each_other, take, wait_until_healthy,
};
use super::duration::duration;
use super::interrupt::unless_interrupted;
use crate::error::{CommandError, Status};

/// How many machines are worked on at the same time: they mostly wait.
pub const JOBS: usize = 8;

/// Bring a cluster to what its file says
///
/// Machines that are as they should be are left alone, those that are missing are made, several at
/// the same time. A machine that fails does not undo the others; running it again goes on with what
/// is left.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArg,

    /// Remove machines of the cluster that the file no longer names
    #[arg(long)]
    prune: bool,

    /// Replace machines that cannot be changed into what the file says; what is on them is lost
    #[arg(long)]
    recreate: bool,

    /// How long the cluster is wanted, such as 2h, in place of what the file says
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,

    /// Return when every node is healthy, and a container on one of them has reached one on another
    #[arg(long)]
    wait: bool,

    /// How long '--wait' waits
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    timeout: Duration,

    /// How many machines are worked on at the same time
    #[arg(short, long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let file = args.file.read(app)?;
    let guard = take(app, &file.cluster.name)?;
    let ttl = args.ttl.or(file.cluster.ttl);
    let bring = Bring {
        jobs: args.jobs,
        prune: args.prune,
        recreate: args.recreate,
        lease: ttl.and_then(|ttl| lease(app.process.now(), ttl)),
    };
    let work = bring_up(app, &file, &guard, bring);
    let outcome = unless_interrupted(work).await??;
    if args.wait && outcome.errors.is_empty() {
        let known = Known::of_file(&file);
        let healthy = wait_until_healthy(app, &known, args.timeout);
        unless_interrupted(healthy).await??;
        containers_reach_each_other(app, &known).await?;
        app.ui.note(&format!("cluster {}: healthy", known.name));
    }
    Ok(outcome.told(app))
}

/// A lease that begins now; one that ends after all clocks is none.
fn lease(now: SystemTime, ttl: Duration) -> Option<Lease> {
    let now = OffsetDateTime::from(now).replace_nanosecond(0).ok()?;
    let end = now.checked_add(ttl.try_into().ok()?)?;
    Some(Lease::Until(end))
}
