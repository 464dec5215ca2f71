use std::time::SystemTime;

use rmachine_cluster::{ClusterJournal, Lease};
use rmachine_driver::MachineName;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::App;
use super::clusters;
use crate::error::{CommandError, Status};
use crate::ui::{row, tabulated};

/// List the clusters that were made from a file
#[derive(clap::Args)]
pub struct Args {
    /// Print the names and no more
    #[arg(short, long)]
    quiet: bool,

    /// How they are shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// Runs the command. A journal that cannot be read is told of, and the others are listed.
pub fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let clusters = clusters(app);
    let names = clusters.names().map_err(CommandError::of_cluster)?;
    if args.quiet {
        let names: Vec<String> = names.iter().map(|name| format!("{name}\n")).collect();
        app.ui.data(&names.concat())?;
        return Ok(Status::OK);
    }
    let mut listed = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match clusters.load(&name) {
            Ok(Some(journal)) => listed.push((name, journal)),
            // Removed since its name was read.
            Ok(None) => {}
            Err(error) => errors.push(CommandError::of_cluster(error)),
        }
    }
    app.ui.data(&match args.format {
        Format::Table => table(&listed, app.process.now()),
        Format::Json => {
            let clusters: Vec<Value> = listed.iter().map(as_json).collect();
            format!("{:#}\n", Value::from(clusters))
        }
    })?;
    Ok(app.ui.errors(&errors))
}

fn table(listed: &[(MachineName, ClusterJournal)], now: SystemTime) -> String {
    let mut lines = "NAME\tORCHESTRATOR\tMACHINES\tLEASE\tFILE\n".to_owned();
    for (name, journal) in listed {
        lines.push_str(&row([
            name.as_str(),
            &journal.orchestrator.to_string(),
            &journal.machines.len().to_string(),
            &lease_text(journal, now),
            &journal.file.display().to_string(),
        ]));
    }
    tabulated(&lines)
}

/// Until when a cluster is wanted, in words.
fn lease_text(journal: &ClusterJournal, now: SystemTime) -> String {
    match journal.lease {
        None => String::new(),
        Some(Lease::Process) => "while a command runs".to_owned(),
        Some(Lease::Until(end)) => {
            let left = (end - OffsetDateTime::from(now)).whole_minutes();
            match left {
                ..=-1 => "over".to_owned(),
                0..60 => format!("{left} min left"),
                _ => format!("{} h left", left / 60),
            }
        }
    }
}

fn as_json((name, journal): &(MachineName, ClusterJournal)) -> Value {
    let until = match journal.lease {
        Some(Lease::Until(end)) => end.format(&Rfc3339).ok(),
        Some(Lease::Process) | None => None,
    };
    let machines: Vec<&str> = journal.machines.keys().map(MachineName::as_str).collect();
    json!({
        "Name": name.as_str(),
        "Orchestrator": journal.orchestrator,
        "Machines": machines,
        "LeaseUntil": until,
        "File": journal.file,
    })
}
