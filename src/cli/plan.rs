use rmachine_cluster::Plan;

use super::App;
use super::cluster::{FileArg, clusters, look_and_plan};
use crate::error::{CommandError, Status};

/// Print what 'up' would do, and do nothing
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArg,

    /// Count in that machines go which the file no longer names
    #[arg(long)]
    prune: bool,

    /// How it is shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let file = args.file.read(app)?;
    let journal = clusters(app).load(&file.cluster.name);
    let journal = journal.map_err(CommandError::of_cluster)?;
    let plan = look_and_plan(app, &file, journal.as_ref(), args.prune).await?;
    app.ui.data(&shown(&plan, args.format))?;
    Ok(Status::OK)
}

fn shown(plan: &Plan, format: Format) -> String {
    match format {
        Format::Text => plan.to_string(),
        Format::Json => format!("{:#}\n", plan.to_json()),
    }
}
