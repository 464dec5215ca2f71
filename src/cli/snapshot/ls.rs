use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;
use futures_util::future::join_all;
use rmachine_core::printable;
use rmachine_driver::{MachineName, Snapshot};
use serde_json::{Value, json};

use super::{can_have_snapshots, members};
use crate::cli::App;
use crate::cli::cluster::clusters;
use crate::cli::interrupt::unless_interrupted;
use crate::cli::names::candidates;
use crate::error::{CommandError, Status};
use crate::ui::{row, tabulated};

/// List snapshots, those of each machine from the oldest on
#[derive(clap::Args)]
pub struct Args {
    /// The machine, or with '--cluster' the cluster [default: all machines]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates))]
    name: Option<MachineName>,

    /// NAME is a cluster of 'rmachine cluster ls'
    #[arg(long, requires = "name")]
    cluster: bool,

    /// Print the snapshots' names and no more, each once
    #[arg(short, long)]
    quiet: bool,

    /// How the list is shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// A machine's snapshot.
type Row = (MachineName, Snapshot);

/// Runs the command. A machine that cannot be asked is told of, and the others are listed.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = match args.name {
        Some(name) => named(name, args.cluster, app)?,
        None => with_snapshots(app)?,
    };
    let asked = names.iter().map(async |name| {
        let told = app.machines.snapshots(name).await;
        told.map_err(|error| CommandError::of_lifecycle(error, name.as_str()))
    });
    let told = unless_interrupted(join_all(asked)).await?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (name, told) in names.iter().zip(told) {
        match told {
            Ok(snapshots) => rows.extend(snapshots.into_iter().map(|s| (name.clone(), s))),
            Err(error) => errors.push(error.of_machine(name.as_str())),
        }
    }
    app.ui.data(&match args.format {
        _ if args.quiet => names_of(&rows),
        Format::Table => table(&rows),
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(object).collect();
            format!("{}\n", Value::Array(rows))
        }
    })?;
    Ok(app.ui.errors(&errors))
}

/// The machines that are meant. Reading takes no lock.
fn named(name: MachineName, is_cluster: bool, app: &App) -> Result<Vec<MachineName>, CommandError> {
    let names = if is_cluster {
        let journal = clusters(app)
            .load(&name)
            .map_err(CommandError::of_cluster)?;
        members(&name, journal)?
    } else {
        vec![name]
    };
    can_have_snapshots(&names, app)?;
    Ok(names)
}

/// The machines of the store whose drivers have snapshots. One that cannot be read has none to
/// show here; `ls` tells of it.
fn with_snapshots(app: &App) -> Result<Vec<MachineName>, CommandError> {
    let names = app.store.names()?.into_iter();
    let have = |name: &MachineName| {
        let machine = app.machine(name);
        machine.is_ok_and(|machine| machine.driver.capabilities().snapshots)
    };
    Ok(names.filter(have).collect())
}

fn names_of(rows: &[Row]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (_, snapshot) in rows {
        if !names.contains(&snapshot.name.as_str()) {
            names.push(&snapshot.name);
        }
    }
    names
        .iter()
        .map(|name| format!("{}\n", printable::line(name)))
        .collect()
}

fn table(rows: &[Row]) -> String {
    let mut lines = "MACHINE\tSNAPSHOT\tCURRENT\n".to_owned();
    for (machine, snapshot) in rows {
        let current = if snapshot.current { "*" } else { "-" };
        lines.push_str(&row([machine.as_str(), &snapshot.name, current]));
    }
    tabulated(&lines)
}

fn object((machine, snapshot): &Row) -> Value {
    json!({
        "Machine": machine.as_str(),
        "Snapshot": snapshot.name,
        "Current": snapshot.current,
    })
}
