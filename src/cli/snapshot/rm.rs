use rmachine_driver::{MachineName, Snapshot};

use super::{Subject, listed, look};
use crate::cli::App;
use crate::cli::each::worked_on;
use crate::error::{CommandError, Status};

/// Remove a snapshot; the machine stays as it is
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    of: Subject,

    /// The snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = args.of.machines(app)?;
    let there = look(app, &machines.names).await?;
    let name = &args.snapshot;
    let having = having(name, &there);
    if having.is_empty() {
        let message = format!("there is no snapshot {name} of {}", listed(&machines.names));
        return Err(CommandError::failed(message).hint("rmachine snapshot ls"));
    }
    let removed = worked_on(app, &having, async |machine, line| {
        let work = app.machines.remove_snapshot(machine, name, line, &app.ui);
        work.await?;
        Ok(format!("snapshot {name} removed"))
    });
    Ok(app.ui.errors(&removed.await?.errors))
}

/// The machines that have a snapshot of this name: another run may have been cut off.
fn having(name: &str, machines: &[(MachineName, Vec<Snapshot>)]) -> Vec<MachineName> {
    let has = |snapshots: &[Snapshot]| snapshots.iter().any(|snapshot| snapshot.name == name);
    let having = machines.iter().filter(|(_, snapshots)| has(snapshots));
    having.map(|(machine, _)| machine.clone()).collect()
}
