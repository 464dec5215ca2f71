use std::time::Duration;

use futures_util::future::join_all;
use rmachine_driver::MachineState;
use rmachine_machine::Record;
use tokio::time::timeout;

use super::client::swarm_url;
use super::duration::MAX_SECONDS;
use super::{App, Machine};
use crate::error::{CommandError, ErrorKind, Status};

/// Print the machine that DOCKER_HOST names
#[derive(clap::Args)]
pub struct Args {
    /// How long to wait for the machines, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=MAX_SECONDS))]
    timeout: u64,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let none = |why: &str| {
        CommandError::failed(format!("no machine is active: {why}"))
            .hint("eval $(rmachine env NAME)")
    };
    let docker_host = app.process.var("DOCKER_HOST");
    let docker_host = docker_host.ok_or_else(|| none("DOCKER_HOST is not set"))?;
    let records = app.store.list()?.into_iter().filter_map(|m| m.record.ok());
    let answers = join_all(records.map(|record| is_active(app, record, docker_host)));
    let active: Vec<String> = timeout(Duration::from_secs(args.timeout), answers)
        .await
        .map_err(|_| {
            let message = format!("the machines did not answer within {} s", args.timeout);
            CommandError::new(ErrorKind::TimedOut, message).hint("rmachine active --timeout 60")
        })?
        .into_iter()
        .flatten()
        .collect();
    if active.is_empty() {
        return Err(none(&format!("none that runs is at {docker_host}")));
    }
    app.ui.data(&(active.join("\n") + "\n"))?;
    Ok(Status::OK)
}

/// The machine's name, if it is the one at this URL and is up.
async fn is_active(app: &App, record: Record, docker_host: &str) -> Option<String> {
    // A machine whose driver is not there cannot be the active one.
    let driver = app.driver(&record).ok()?;
    let machine = Machine { record, driver };
    let url = machine.driver.url().await.ok()?;
    let swarm = &machine.record.swarm;
    let cluster = swarm_url(&url, &swarm.host).filter(|_| swarm.master);
    if url != docker_host && cluster.as_deref() != Some(docker_host) {
        return None;
    }
    let state = machine.driver.state().await.ok()?;
    matches!(state, MachineState::Running | MachineState::None).then(|| machine.name().to_string())
}
