use std::time::{Duration, SystemTime};

use rmachine_driver::{MachineName, Snapshot, SnapshotName};
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use super::{Subject, listed, look};
use crate::cli::App;
use crate::cli::each::worked_on;
use crate::cli::interrupt::SETTLE;
use crate::error::{CommandError, ErrorKind, Status};

/// How long a snapshot of a cluster may take to be taken back after Ctrl-C.
const TAKE_BACK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Take a snapshot of a machine, running or not
///
/// A running machine stands still while its memory is written, and goes on. With '--cluster' there
/// is a snapshot of every machine of the cluster afterwards, or of none; of none after Ctrl-C, too.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    of: Subject,

    /// The snapshot's name [default: the time, as 2026-11-21-175959]
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<SnapshotName>,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.of.machines(app)?;
    let name = match args.snapshot {
        Some(name) => name,
        None => at(app.process.now())?,
    };
    if args.of.cluster {
        taken_by_none(&name, &look(app, &machines.names).await?)?;
    }
    let taken = worked_on(app, &machines.names, async |machine, line| {
        let work = app.machines.take_snapshot(machine, &name, line, &app.ui);
        work.await?;
        Ok(format!("snapshot {name} taken"))
    });
    let outcome = match taken.await {
        Err(error) if error.kind == ErrorKind::Interrupted && args.of.cluster => {
            return Err(interrupted(app, &args.of.name, &name, &machines.names).await);
        }
        ended => ended?,
    };
    let mut errors = outcome.errors;
    if !errors.is_empty() {
        let why = "for others failed";
        errors.extend(take_back(app, &name, &outcome.done, why).await?);
    }
    Ok(app.ui.errors(&errors))
}

/// After Ctrl-C no machine of the cluster is to have the snapshot, which none had before. One that
/// is still being taken is waited for; a second Ctrl-C ends that.
async fn interrupted(
    app: &App,
    cluster: &MachineName,
    name: &SnapshotName,
    machines: &[MachineName],
) -> CommandError {
    app.ui.note(&format!(
        "interrupted; the snapshot {name} is taken back from {}, in {} minutes at most",
        listed(machines),
        TAKE_BACK_LIMIT.as_secs() / 60
    ));
    let gone = async {
        sleep(SETTLE).await;
        take_back(app, name, machines, "if it was taken").await
    };
    let left = match timeout(TAKE_BACK_LIMIT, gone).await {
        Ok(Ok(errors)) if errors.is_empty() => {
            let message = format!("interrupted; no machine of {cluster} has the snapshot {name}");
            return CommandError::new(ErrorKind::Interrupted, message);
        }
        Ok(Ok(errors)) => {
            app.ui.errors(&errors);
            "it could not be taken back from all"
        }
        Ok(Err(_)) => "taking it back was interrupted, too",
        Err(_) => "it took too long to take it back",
    };
    let message =
        format!("interrupted; machines of {cluster} may have the snapshot {name}: {left}");
    CommandError::new(ErrorKind::Interrupted, message)
        .hint(format!("rmachine snapshot rm --cluster {cluster} {name}"))
}

/// A snapshot of a part of a cluster is of no use.
async fn take_back(
    app: &App,
    name: &SnapshotName,
    from: &[MachineName],
    why: &str,
) -> Result<Vec<CommandError>, CommandError> {
    let taken_back = worked_on(app, from, async |machine, line| {
        let name = name.as_str();
        app.machines
            .remove_snapshot(machine, name, line, &app.ui)
            .await?;
        Ok(format!("snapshot {name} taken back, {why}"))
    });
    Ok(taken_back.await?.errors)
}

/// The time as a snapshot's name.
fn at(now: SystemTime) -> Result<SnapshotName, CommandError> {
    let now = OffsetDateTime::from(now);
    let name = format!(
        "{}-{:02}{:02}{:02}",
        now.date(),
        now.hour(),
        now.minute(),
        now.second()
    );
    name.parse()
        .map_err(|error| CommandError::failed("no name").caused_by(&error))
}

/// All of them can take the name, or none does.
fn taken_by_none(
    name: &SnapshotName,
    machines: &[(MachineName, Vec<Snapshot>)],
) -> Result<(), CommandError> {
    let has = |snapshots: &[Snapshot]| snapshots.iter().any(|s| s.name == name.as_str());
    let taken: Vec<&MachineName> = machines
        .iter()
        .filter(|(_, snapshots)| has(snapshots))
        .map(|(machine, _)| machine)
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of the cluster's machines have a snapshot {name} already: {}",
        taken.len(),
        listed(taken.iter().copied())
    );
    let remove = taken
        .iter()
        .map(|machine| format!("rmachine snapshot rm {machine} {name}"));
    let mut error = CommandError::failed(message);
    error.hints.extend(remove);
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_a_name() {
        let name = at(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(name.as_str(), "1970-01-01-000000");
    }

    #[test]
    fn a_name_that_one_machine_has_is_refused_for_all() {
        let machine = |name: &str, snapshots: &[&str]| {
            let snapshots = snapshots.iter().map(|name| Snapshot {
                name: (*name).to_owned(),
                current: false,
            });
            (name.parse().unwrap(), snapshots.collect::<Vec<_>>())
        };
        let machines = [machine("n1", &["old", "clean"]), machine("n2", &[])];
        assert!(taken_by_none(&"new".parse().unwrap(), &machines).is_ok());
        let error = taken_by_none(&"clean".parse().unwrap(), &machines).unwrap_err();
        assert_eq!(
            error.to_text(),
            "error: 1 of the cluster's machines have a snapshot clean already: n1\n\
             hint: rmachine snapshot rm n1 clean\n"
        );
    }
}
