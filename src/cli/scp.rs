use std::process::ExitStatus;

use rmachine_ssh::{CopyEnd, CopyFlags, CopyPath, copy_command};

use super::App;
use super::ssh::endpoint;
use crate::error::{CommandError, Status};

/// Copy files between machines and this one
///
/// Each side is a path here, or [USER@]NAME:PATH on a machine. Between two machines the files pass
/// through here.
#[derive(clap::Args)]
pub struct Args {
    /// Copy directories with all that is in them
    #[arg(short, long)]
    recursive: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// What to copy
    #[arg(value_name = "FROM")]
    from: String,

    /// Where to
    #[arg(value_name = "TO")]
    to: String,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let from = end(app, &args.from).await?;
    let to = end(app, &args.to).await?;
    let flags = CopyFlags {
        recursive: args.recursive,
        quiet: args.quiet,
    };
    let environment = &app.ssh.environment;
    let mut copy = copy_command(&from, &to, flags, environment)
        .await
        .map_err(|error| CommandError::of_ssh(error, name_of(&from, &to)))?;
    let status = copy
        .command
        .status()
        .map_err(|error| CommandError::failed("cannot start scp").caused_by(&error))?;
    Ok(Status(code(status)))
}

async fn end(app: &App, text: &str) -> Result<CopyEnd, CommandError> {
    Ok(match CopyPath::parse(text) {
        CopyPath::Local(path) => CopyEnd::Local(path),
        CopyPath::Machine { user, name, path } => CopyEnd::Machine {
            endpoint: Box::new(endpoint(&app.machine(&name)?).await?),
            user,
            name,
            path,
        },
    })
}

/// The machine that an error is about, as far as it can be told.
fn name_of<'a>(from: &'a CopyEnd, to: &'a CopyEnd) -> &'a str {
    match (from, to) {
        (CopyEnd::Machine { name, .. }, _) | (_, CopyEnd::Machine { name, .. }) => name.as_str(),
        (CopyEnd::Local(_), CopyEnd::Local(_)) => "NAME",
    }
}

/// A signal that ended the program counts as a shell counts it.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
