use clap_complete::engine::ArgValueCompleter;
use rmachine_cluster::left_behind;
use rmachine_driver::MachineName;
use rmachine_lifecycle::{LifecycleError, Removal};
use rmachine_machine::{Record, StoreError};

use super::App;
use super::each::each;
use super::names::candidates;
use crate::error::{CommandError, Status};

/// Remove machines: what their drivers made, and their records
///
/// Nodes that lose the last manager of their cluster are named before anything is asked. An adopted
/// host keeps its engine, with the engine's TLS configuration and key, unless --restore is given; the
/// keys of a cluster's manager and agent are removed.
#[derive(clap::Args)]
pub struct Args {
    /// The machines
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(candidates))]
    names: Vec<MachineName>,

    /// Remove the record even when the machine behind it cannot be removed, and do not ask
    #[arg(short, long)]
    force: bool,

    /// Do not ask
    #[arg(short)]
    yes: bool,

    /// Give an adopted host's engine the configuration back that it had before
    #[arg(long)]
    restore: bool,
}

/// Removes the machines, all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    if !args.force {
        for name in &args.names {
            app.store.load(name)?;
        }
    }
    warn_of_those_left_behind(app, &args.names);
    let go_on = args.force || args.yes || confirmed(app, &args.names)?;
    if !go_on {
        return Ok(Status::OK);
    }
    let machines = &app.machines;
    let removal = Removal {
        force: args.force,
        restore: args.restore,
    };
    each(app, &args.names, async |name, line| {
        match machines.remove(name, removal, line, &app.ui).await {
            Ok(None) => Ok("removed".to_owned()),
            Ok(Some(passed_over)) => {
                let told = CommandError::of_lifecycle(passed_over, name.as_str());
                app.ui.warn(&told.of_machine(name.as_str()).message);
                Ok("removed by force".to_owned())
            }
            Err(LifecycleError::Store(StoreError::NotFound { .. })) if args.force => {
                Ok("was not there".to_owned())
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// Says which machines lose the manager of their cluster.
fn warn_of_those_left_behind(app: &App, going: &[MachineName]) {
    // A store that cannot be listed is told of when a machine of it is removed.
    let listed = app.store.list().unwrap_or_default().into_iter();
    let records: Vec<Record> = listed.filter_map(|one| one.record.ok()).collect();
    for (manager, others) in left_behind(&records, going) {
        let others: Vec<&str> = others.iter().map(MachineName::as_str).collect();
        app.ui.warn(&format!(
            "{manager} is the last manager of the cluster of {}",
            others.join(", ")
        ));
    }
}

fn confirmed(app: &App, names: &[MachineName]) -> Result<bool, CommandError> {
    let names: Vec<&str> = names.iter().map(MachineName::as_str).collect();
    app.ui
        .note(&format!("About to remove {}", names.join(", ")));
    app.ui
        .note("WARNING: This action will delete both local reference and remote instance.");
    app.ui.confirm("Are you sure?")
}
