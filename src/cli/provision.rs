use rmachine_lifecycle::Provisioned;

use super::App;
use super::each::{each, existing};
use super::names::SomeNames;
use crate::error::{CommandError, Status};

/// Bring hosts to what their machines' records ask for
///
/// What is right already is left alone: a second run changes and restarts nothing.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Provisions the machines, all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = existing(args.names, app)?;
    let machines = &app.machines;
    if args.dry_run {
        for name in &names {
            let line = app.ui.line(name.as_str());
            let planned = machines.planned(name, &line, &app.ui).await;
            let planned =
                planned.map_err(|error| CommandError::of_lifecycle(error, name.as_str()))?;
            app.ui.data(&planned.plan.to_string())?;
        }
        return Ok(Status::OK);
    }
    each(app, &names, async |name, line| {
        let provisioned = machines.provision(name, line, &app.ui).await?;
        Ok(outcome(&provisioned))
    })
    .await
}

fn outcome(provisioned: &Provisioned) -> String {
    match provisioned.plan.is_empty() {
        true => "nothing to change".to_owned(),
        false => "provisioned".to_owned(),
    }
}
