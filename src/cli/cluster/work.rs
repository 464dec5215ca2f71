use std::time::Duration;

use futures_util::future::join_all;
use rmachine_cluster::{
    Action, ClusterError, ClusterGuard, ClusterJournal, Clusters, Done, Lease, Plan, Step, Work,
    look, remove_machine,
};
use rmachine_driver::MachineName;
use tokio::sync::Semaphore;

use super::super::App;
use super::ClusterFile;
use crate::error::{CommandError, ErrorKind, Status};

/// How long another process's work on the same cluster is waited for.
const CLUSTER_LOCK: Duration = Duration::from_secs(10);

/// How a cluster is brought up.
#[derive(Clone, Copy, Debug)]
pub struct Bring {
    /// How many machines are worked on at the same time.
    pub jobs: usize,
    /// Whether machines go that the file no longer names.
    pub prune: bool,
    /// Whether machines are replaced that are other than the file wants them.
    pub recreate: bool,
    /// Until when the cluster is wanted.
    pub lease: Option<Lease>,
}

/// How the work on several machines ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many machines there are to be, or to be gone.
    pub all: usize,
    /// How many of them were worked on.
    pub worked: usize,
    /// What failed, a machine each.
    pub errors: Vec<CommandError>,
}

impl Outcome {
    /// Shows the errors and says how to exit: where some machines are done and others are not,
    /// that is a code of its own.
    pub fn told(&self, app: &App) -> Status {
        let status = app.ui.errors(&self.errors);
        match self.errors.is_empty() || self.errors.len() == self.all {
            true => status,
            false => Status(ErrorKind::Partial.exit_code()),
        }
    }
}

/// The clusters of the store.
pub fn clusters(app: &App) -> Clusters {
    Clusters::new(app.store.layout())
}

/// Takes a cluster in hand.
///
/// # Errors
/// When another process has it for too long; when its journal cannot be read.
pub fn take(app: &App, name: &MachineName) -> Result<ClusterGuard, CommandError> {
    let taken = clusters(app).take(name, CLUSTER_LOCK);
    taken.map_err(CommandError::of_cluster)
}

/// What would have to be done to bring the cluster to what its file says.
///
/// # Errors
/// When the store cannot be read.
pub async fn look_and_plan(
    app: &App,
    file: &ClusterFile,
    journal: Option<&ClusterJournal>,
    prune: bool,
) -> Result<Plan, CommandError> {
    let there = look(&file.cluster, journal, &app.machines).await;
    let there = there.map_err(CommandError::of_cluster)?;
    Ok(Plan::new(&file.cluster, &there, prune))
}

/// Brings a cluster to what its file says. A machine that fails does not undo the others.
///
/// # Errors
/// When nothing could be begun.
pub async fn bring_up(
    app: &App,
    file: &ClusterFile,
    guard: &ClusterGuard,
    bring: Bring,
) -> Result<Outcome, CommandError> {
    let plan = look_and_plan(app, file, guard.journal().as_ref(), bring.prune).await?;
    // On disk before the first machine is: what is left of a run that is cut off has an owner,
    // and an end.
    let kept = guard.keep(
        || ClusterJournal::new(&file.cluster, file.path.clone(), bring.lease),
        |journal| {
            journal.file.clone_from(&file.path);
            journal.digest.clone_from(&file.cluster.digest);
            journal.orchestrator = file.cluster.orchestrator;
            journal.lease = bring.lease;
        },
    );
    kept.map_err(CommandError::of_cluster)?;
    let work = Work {
        cluster: &file.cluster,
        guard,
        machines: &app.machines,
        recreate: bring.recreate,
    };
    let extra = plan.steps.iter().filter(|it| it.action == Action::Extra);
    let mut outcome = Outcome {
        all: plan.steps.len() - extra.count(),
        ..Outcome::default()
    };
    for wave in plan.waves() {
        outcome.worked += wave.len();
        match outcome.errors.first() {
            // What waits for machines that are not there would fail, each for itself and later.
            Some(_) => {
                let errors = wave.iter().map(|step| not_begun(&step.machine));
                outcome.errors.extend(errors);
            }
            None => {
                let errors = each(&wave, bring.jobs, async |step| one(app, &work, step).await);
                outcome.errors.extend(errors.await);
            }
        }
    }
    app.ui.note(&summary(&plan, &outcome));
    Ok(outcome)
}

/// Removes what the cluster owns and nothing else, and goes on past failures. The journal goes
/// with the last machine.
///
/// # Errors
/// When the journal cannot be written.
pub async fn take_down(
    app: &App,
    guard: &ClusterGuard,
    jobs: usize,
    restore: bool,
) -> Result<Outcome, CommandError> {
    let Some(journal) = guard.journal() else {
        return Ok(Outcome::default());
    };
    let remove = async |name: &MachineName| {
        let line = app.ui.line(name.as_str());
        let removed = remove_machine(guard, &app.machines, name, restore, &line, &app.ui).await;
        match removed {
            Ok(()) => {
                line.done("removed");
                None
            }
            Err(error) => {
                let error = CommandError::of_cluster(error).of_machine(name.as_str());
                line.failed(&error);
                Some(error)
            }
        }
    };
    let mut errors = Vec::new();
    for way in journal.ways_out() {
        errors.extend(each(&way, jobs, remove).await);
    }
    if errors.is_empty() {
        guard.forget().map_err(CommandError::of_cluster)?;
    }
    Ok(Outcome {
        all: journal.machines.len(),
        worked: journal.machines.len(),
        errors,
    })
}

/// Works on all of these, so many at the same time, and returns what failed.
async fn each<T>(
    items: &[T],
    jobs: usize,
    work: impl AsyncFn(&T) -> Option<CommandError>,
) -> Vec<CommandError> {
    let turns = Semaphore::new(jobs.clamp(1, items.len().max(1)));
    let one = async |item| {
        // The semaphore is not closed before all have had their turn.
        let _turn = turns.acquire().await.ok();
        work(item).await
    };
    let errors = join_all(items.iter().map(one)).await;
    errors.into_iter().flatten().collect()
}

async fn one(app: &App, work: &Work<'_>, step: &Step) -> Option<CommandError> {
    let name = step.machine.as_str();
    let line = app.ui.line(name);
    match work.step(step, &line, &app.ui).await {
        Ok(done) => {
            line.done(&told(&done));
            None
        }
        Err(error) => {
            let hint = matches!(error, ClusterError::NeedsNew { .. });
            let mut error = CommandError::of_cluster(error).of_machine(name);
            if hint {
                error = error.hint(format!("{} up --recreate", app.program()));
            }
            line.failed(&error);
            Some(error)
        }
    }
}

fn told(done: &Done) -> String {
    match done {
        Done::Made(url) => format!("ready at {url}"),
        Done::Changed => "changed".to_owned(),
        Done::Started => "started".to_owned(),
        Done::Removed => "removed".to_owned(),
        Done::Nothing => "nothing to do".to_owned(),
    }
}

fn not_begun(name: &MachineName) -> CommandError {
    let told = CommandError::failed("not begun: a machine that it needs has failed");
    told.of_machine(name.as_str())
}

/// One line for all machines: what was done, and what stays.
fn summary(plan: &Plan, outcome: &Outcome) -> String {
    let extra = plan.steps.len() - outcome.all;
    let failed = outcome.errors.len();
    let done = outcome.worked - failed;
    let mut parts = Vec::new();
    for (count, word) in [
        (done, "done"),
        (outcome.all - outcome.worked, "as they should be"),
        (extra, "not in the file (--prune removes them)"),
        (failed, "failed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    format!("cluster {}: {}", plan.cluster, parts.join(", "))
}
