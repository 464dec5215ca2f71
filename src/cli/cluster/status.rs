use std::path::PathBuf;
use std::time::{Duration, Instant};

use rmachine_cluster::{Health, MemberHealth};
use time::OffsetDateTime;

use super::super::App;
use super::super::duration::duration;
use super::super::interrupt::unless_interrupted;
use super::health::{ailing, examine, examine_until, timed_out};
use super::{FileArg, Known};
use crate::error::{CommandError, Status};
use crate::ui::{row, tabulated};

/// Show how a cluster is: its machines, who leads, their health, engines and certificates
///
/// Exits with 0 when all machines are healthy, with 9 when some are, with 1 when none is, and with 7
/// when the time of '--wait' is over.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, by its name, by that of one of its machines, or by its file [default:
    /// cluster.yml]
    #[arg(value_name = "NAME|FILE", value_hint = clap::ValueHint::FilePath)]
    cluster: Option<String>,

    /// The cluster's file, named by an option
    #[arg(long, value_name = "FILE", conflicts_with = "cluster",
          value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,

    #[command(flatten)]
    how: How,
}

/// How a cluster is shown.
#[derive(clap::Args)]
pub struct How {
    /// Return when every machine is healthy
    #[arg(long)]
    wait: bool,

    /// How long '--wait' waits [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// How it is shown [default: table]
    #[arg(short, long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// How long a wait is, where nothing else is said.
const WAIT: Duration = Duration::from_secs(5 * 60);

impl How {
    /// Whether anything was said about it.
    pub fn is_given(&self) -> bool {
        self.wait || self.timeout.is_some() || self.format.is_some()
    }
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let known = match (args.cluster, args.file) {
        (Some(name), _) => Known::named(app, &name)?,
        (None, Some(file)) => Known::of_file(&FileArg::at(file).read(app)?),
        (None, None) => Known::of_file(&FileArg::default().read(app)?),
    };
    show(app, &known, &args.how).await
}

/// Shows a cluster, and says by the exit code how it is.
///
/// # Errors
/// When it cannot be shown.
pub async fn show(app: &App, known: &Known, how: &How) -> Result<Status, CommandError> {
    let limit = how.timeout.unwrap_or(WAIT);
    let health = match how.wait {
        true => unless_interrupted(examine_until(app, known, Instant::now() + limit)).await?,
        false => examine(app, known).await,
    };
    app.ui.data(&match how.format {
        Some(Format::Json) => {
            let mut json = health.to_json();
            json["Name"] = known.name.as_str().into();
            format!("{json:#}\n")
        }
        Some(Format::Table) | None => table(&health, app.process.now().into()),
    })?;
    let told = ailing(known, &health);
    let told = told.map(|told| match how.wait {
        true => timed_out(told, limit),
        false => told,
    });
    Ok(app.ui.errors(told.as_slice()))
}

fn table(health: &Health, now: OffsetDateTime) -> String {
    let mut lines = "NAME\tROLES\tLEADER\tSTATE\tHEALTH\tENGINE\tCERTIFICATE\tERROR\n".to_owned();
    for member in &health.members {
        lines.push_str(&line(member, now));
    }
    tabulated(&lines)
}

fn line(member: &MemberHealth, now: OffsetDateTime) -> String {
    let state = member.signs.state.map(|state| state.to_string());
    let cells = [
        member.name.to_string(),
        member.roles.words().join(","),
        if member.leads { "*" } else { "-" }.to_owned(),
        state.unwrap_or_default(),
        match member.ailment {
            None => "healthy".to_owned(),
            Some(_) => "unhealthy".to_owned(),
        },
        member.signs.engine.clone().unwrap_or_default(),
        match member.days_left(now) {
            Some(..=-1) => "expired".to_owned(),
            Some(days) => format!("{days} days"),
            None => String::new(),
        },
        // Several lines of an engine's error become one.
        member
            .ailment
            .as_deref()
            .unwrap_or_default()
            .replace(['\n', '\t'], " "),
    ];
    row(cells.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use rmachine_cluster::{Orchestrator, Roles, Signs};
    use rmachine_driver::{MachineName, MachineState};

    use super::*;

    #[test]
    fn shows_a_line_a_machine() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let member = |name: &str, signs: Signs| -> (MachineName, Roles, Signs) {
            let roles = Roles {
                worker: true,
                ..Roles::default()
            };
            (name.parse().unwrap(), roles, signs)
        };
        let well = Signs {
            state: Some(MachineState::Running),
            engine: Some("26.1.5".to_owned()),
            certificate_until: Some(now + time::Duration::days(9)),
            ..Signs::default()
        };
        let ill = Signs {
            trouble: Some("no\nanswer".to_owned()),
            ..Signs::default()
        };
        let heard = vec![member("n1", well), member("n2", ill)];
        let health = Health::of(Orchestrator::None, heard, now);
        let shown = table(&health, now);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1],
            [
                "n1", "worker", "-", "Running", "healthy", "26.1.5", "9", "days"
            ]
        );
        assert_eq!(lines[2], ["n2", "worker", "-", "unhealthy", "no", "answer"]);
    }
}
