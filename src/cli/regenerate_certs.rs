use super::App;
use super::each::{each, existing};
use super::names::SomeNames;
use crate::error::{CommandError, Status};

/// Make machines' certificates anew, and put them in force
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Make the client's certificate anew as well
    #[arg(long)]
    client_certs: bool,
}

/// Makes the certificates of the machines anew, of all at the same time.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = existing(args.names, app)?;
    let question = "Regenerate TLS machine certs? This cannot be undone.";
    if !args.force && !app.ui.confirm(question)? {
        return Err(CommandError::failed("nothing was changed").hint(format!(
            "{} regenerate-certs --force {}",
            app.program(),
            names
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        )));
    }
    let machines = &app.machines;
    if args.client_certs {
        machines
            .renew_client_certificates(&names)
            .map_err(|error| CommandError::of_lifecycle(error, "…"))?;
    }
    each(app, &names, async |name, line| {
        machines
            .regenerate_certificates(name, line, &app.ui)
            .await?;
        Ok("has new certificates".to_owned())
    })
    .await
}
