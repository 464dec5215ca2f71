use rmachine_driver::{MachineName, MachineState, Snapshot};

use super::{Subject, listed, look};
use crate::cli::App;
use crate::cli::each::worked_on;
use crate::error::{CommandError, Status};

/// Put a machine back to a snapshot
///
/// What came after the snapshot is lost. A machine that ran, or whose snapshot was taken while it
/// ran, runs afterwards, and its engine answers. With '--cluster' nothing is touched unless every
/// machine of the cluster has the snapshot.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    of: Subject,

    /// The snapshot [default: the last that was taken or restored]
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.of.machines(app)?;
    let there = look(app, &machines.names).await?;
    let name = common(args.snapshot.as_deref(), &there)?;
    let restored = worked_on(app, &machines.names, async |machine, line| {
        let restoring = app
            .machines
            .restore_snapshot(machine, &name, line, &app.ui)
            .await?;
        Ok(match restoring {
            MachineState::Running => format!("back at the snapshot {name}"),
            state => format!("back at the snapshot {name}, {state}"),
        })
    });
    Ok(app.ui.errors(&restored.await?.errors))
}

/// The snapshot that every machine has: the one that was named, or the one that all go on from.
fn common(
    named: Option<&str>,
    machines: &[(MachineName, Vec<Snapshot>)],
) -> Result<String, CommandError> {
    let current = |snapshots: &[Snapshot]| {
        let current = snapshots.iter().find(|snapshot| snapshot.current);
        current.map(|snapshot| snapshot.name.clone())
    };
    let wanted = match (named, machines) {
        (Some(name), _) => name.to_owned(),
        (None, [(machine, snapshots), ..]) => current(snapshots).ok_or_else(|| {
            CommandError::failed(format!("the machine {machine} has no snapshot"))
                .hint(format!("rmachine snapshot create {machine}"))
        })?,
        (None, []) => return Err(CommandError::usage("no machine is named")),
    };
    let has = |snapshots: &[Snapshot]| match named {
        Some(_) => snapshots.iter().any(|snapshot| snapshot.name == wanted),
        None => current(snapshots).as_ref() == Some(&wanted),
    };
    let without: Vec<&MachineName> = machines
        .iter()
        .filter(|(_, snapshots)| !has(snapshots))
        .map(|(machine, _)| machine)
        .collect();
    match (without.as_slice(), named) {
        ([], _) => Ok(wanted),
        (without, Some(_)) => Err(CommandError::failed(format!(
            "there is no snapshot {wanted} of {}; nothing was touched",
            listed(without.iter().copied())
        ))
        .hint("rmachine snapshot ls")),
        (without, None) => Err(CommandError::failed(format!(
            "the last snapshot of {} is not {wanted}; nothing was touched",
            listed(without.iter().copied())
        ))
        .hint("rmachine snapshot restore --cluster NAME SNAPSHOT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `old *new`: the current one bears a star.
    fn machine(name: &str, snapshots: &str) -> (MachineName, Vec<Snapshot>) {
        let read = |word: &str| Snapshot {
            name: word.trim_start_matches('*').to_owned(),
            current: word.starts_with('*'),
        };
        let snapshots = snapshots.split_whitespace().map(read).collect();
        (name.parse().unwrap(), snapshots)
    }

    #[test]
    fn only_what_all_machines_have_is_restored() {
        for (named, one, two, chosen) in [
            (Some("a"), "a *b", "*a", Ok("a")),
            (None, "a *b", "a *b", Ok("b")),
            (None, "*a b", "b *a", Ok("a")),
            (
                Some("b"),
                "a *b",
                "*a",
                Err("there is no snapshot b of n2; nothing was touched"),
            ),
            (
                Some("c"),
                "a",
                "",
                Err("there is no snapshot c of n1, n2; nothing was touched"),
            ),
            (
                None,
                "a *b",
                "*a b",
                Err("the last snapshot of n2 is not b; nothing was touched"),
            ),
            (None, "", "*a", Err("the machine n1 has no snapshot")),
        ] {
            let machines = [machine("n1", one), machine("n2", two)];
            let found = common(named, &machines).map_err(|error| error.message);
            let chosen = chosen.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, chosen, "{named:?} of {one:?} and {two:?}");
        }
    }
}
