//! `ls`: all machines, asked at once.

mod cluster;
mod filter;
mod format;
mod row;

use std::time::Duration;

use futures_util::future::join_all;
use rmachine_machine::Record;

use super::App;
use crate::error::{CommandError, Status};
use cluster::Clusters;
use filter::{Filter, Known};
use format::Format;
use row::Row;

/// List machines
///
/// Machines are asked at the same time, and none is waited for longer than --timeout. A machine
/// that does not answer has the state Timeout or the version Unknown; why is told under ERRORS.
#[derive(clap::Args)]
pub struct Args {
    /// Print the names and no more
    #[arg(short, long)]
    quiet: bool,

    /// Show only machines that match: driver=, label=KEY[=VALUE], name=PATTERN, state=, swarm=MASTER
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,

    /// How long to wait for the machines, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,

    /// "table", "json", or a Go template such as '{{.Name}} {{.URL}}'; with "table" before it, a
    /// table with a header
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let format = Format::parse(args.format.as_deref())?;
    let listed = app.store.list()?;
    let clusters = Clusters::of(&listed);
    let shown = listed.into_iter().filter(|machine| match &machine.record {
        Ok(record) => filter::passes(&args.filters, &known(record, &clusters)),
        Err(_) => !args.quiet,
    });
    if args.quiet && !filter::ask_for_state(&args.filters) {
        let names: Vec<String> = shown.map(|machine| format!("{}\n", machine.name)).collect();
        app.ui.data(&names.concat())?;
        return Ok(Status::OK);
    }
    let limit = Duration::from_secs(args.timeout);
    let rows = join_all(shown.map(async |machine| match machine.record {
        Ok(record) => {
            let swarm = clusters.shown(&record);
            let row = Row::ask(app, record, limit).await;
            filter::passes_in_state(&args.filters, row.state).then_some(Row { swarm, ..row })
        }
        Err(error) => Some(Row::unreadable(machine.name.as_str(), &error.into())),
    }));
    let rows: Vec<Row> = rows.await.into_iter().flatten().collect();
    let text = match args.quiet {
        true => rows.iter().map(|row| format!("{}\n", row.name)).collect(),
        false => format.shown(&rows, app.process.stdout_is_terminal())?,
    };
    match format {
        Format::Json => app.ui.data(&text)?,
        Format::Template(..) => app.ui.exact(&text)?,
    }
    Ok(Status::OK)
}

fn known<'a>(record: &'a Record, clusters: &'a Clusters) -> Known<'a> {
    Known {
        name: record.name().as_str(),
        driver: record.driver_name(),
        labels: &record.engine.labels,
        master: clusters.master_of(record),
    }
}
