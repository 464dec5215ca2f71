use super::App;
use super::names::OneName;
use crate::error::{CommandError, Status};
use crate::ui::{Template, indented};

/// Print what the store holds about a machine
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: OneName,

    /// "json", or a Go template such as '{{.Driver.IPAddress}}'; it has the functions json and
    /// prettyjson
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let template = match args.format.as_deref() {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::parse(text)?),
    };
    let name = args.name.resolve(app)?;
    let record = app.store.load(&name)?;
    let json = record.to_json().map_err(|error| {
        CommandError::failed(format!("the record of {name} cannot be shown")).caused_by(&error)
    })?;
    let text = match (template, args.format.as_deref()) {
        (Some(template), _) => template.render(&json)?,
        (None, Some("json")) => json.to_string(),
        (None, _) => indented(&json),
    };
    app.ui.data(&format!("{text}\n"))?;
    Ok(Status::OK)
}
