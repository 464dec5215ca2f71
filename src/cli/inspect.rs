use super::App;
use super::names::OneName;
use crate::error::{CommandError, Status};
use crate::ui::{Template, escaped, indented};

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
    if let Some(template) = template {
        // A script that reads a pipe gets the record's own bytes.
        let json = if app.process.stdout_is_terminal() {
            escaped(json)
        } else {
            json
        };
        app.ui.exact(&format!("{}\n", template.render(&json)?))?;
        return Ok(Status::OK);
    }
    let text = match args.format.as_deref() {
        Some("json") => json.to_string(),
        _ => indented(&json),
    };
    app.ui.data(&format!("{text}\n"))?;
    Ok(Status::OK)
}
