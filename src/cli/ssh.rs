use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use rmachine_driver::{MachineName, SshEndpoint};
use rmachine_ssh::{Privilege, Run, connect, interactive_command};

use super::names::{candidates, default};
use super::{App, Machine};
use crate::error::{CommandError, ErrorKind, Status};

/// The built-in client knows no end of a command but its own; this one is not reached in practice.
const NATIVE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Log in to a machine, or run a command there
///
/// What follows the name goes to ssh as it is: its options, then the command, which '--' may
/// precede. The exit code is the remote command's.
#[derive(clap::Args)]
#[command(override_usage = "rmachine ssh [OPTIONS] [NAME] [SSH-OPTIONS] [--] [COMMAND]...")]
pub struct Args {
    /// The machine [default: the one called "default"], options of ssh, and the command
    #[arg(value_name = "NAME", trailing_var_arg = true, allow_hyphen_values = true,
          add = clap_complete::engine::ArgValueCompleter::new(candidates))]
    words: Vec<OsString>,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let mut words = args.words.into_iter();
    let machine = match words.next() {
        Some(name) => app.machine(&named(&name)?)?,
        None => app.machine(&default(app)?)?,
    };
    let words: Vec<OsString> = words.collect();
    let endpoint = endpoint(&machine).await?;
    if app.globals.native_ssh {
        return native(app, &machine, &endpoint, &words).await;
    }
    let mut command = interactive_command(&endpoint, &app.ssh.environment, &words)
        .map_err(|error| CommandError::of_ssh(error, machine.name().as_str()))?;
    // From here on this process is ssh: its terminal, its signals, its exit code.
    let error = command.exec();
    Err(CommandError::failed("cannot start ssh").caused_by(&error))
}

/// Where SSH reaches a machine.
///
/// # Errors
/// When the machine is not running, or is of a kind that SSH does not reach.
pub async fn endpoint(machine: &Machine) -> Result<SshEndpoint, CommandError> {
    let name = machine.name();
    match machine.driver.ssh().await {
        Ok(Some(endpoint)) => Ok(endpoint),
        Ok(None) => Err(CommandError::failed(format!(
            "{name}: machines of the {} driver are not reached over ssh",
            machine.driver.name()
        ))),
        Err(error) => Err(CommandError::from(error).of_machine(name.as_str())),
    }
}

fn named(word: &OsString) -> Result<MachineName, CommandError> {
    let name = word.to_string_lossy();
    name.parse()
        .map_err(|error: rmachine_driver::InvalidMachineName| {
            CommandError::usage(error.to_string())
                .hint("rmachine ssh NAME [SSH-OPTIONS] [--] [COMMAND]")
        })
}

/// Runs a command with the built-in client, which has no terminal to give.
async fn native(
    app: &App,
    machine: &Machine,
    endpoint: &SshEndpoint,
    words: &[OsString],
) -> Result<Status, CommandError> {
    let script = script(words)?;
    let of_ssh = |error| CommandError::of_ssh(error, machine.name().as_str());
    // The flag that led here chose the backend.
    let ssh = connect(endpoint, &app.ssh, &app.ui).await.map_err(of_ssh)?;
    let run = Run {
        step: "the command",
        script: &script,
        privilege: Privilege::Login,
        limit: NATIVE_LIMIT,
    };
    let output = ssh.run(&run).await.map_err(of_ssh)?;
    ssh.close().await;
    app.ui.passed_on(&output.stdout, &output.stderr)?;
    Ok(Status(u8::try_from(output.status).unwrap_or(u8::MAX)))
}

/// The command's words as ssh joins them.
fn script(words: &[OsString]) -> Result<String, CommandError> {
    let unusable = |what: &str| {
        CommandError::new(ErrorKind::Usage, format!("the built-in ssh client {what}"))
            .hint("unset MACHINE_NATIVE_SSH")
    };
    let texts: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let texts = texts.ok_or_else(|| unusable("takes a command in UTF-8 only"))?;
    let command = match texts.as_slice() {
        ["--", command @ ..] => command,
        [option, ..] if option.starts_with('-') => {
            return Err(unusable(&format!("has no option {option}")));
        }
        command => command,
    };
    match command.is_empty() {
        true => Err(unusable("has no terminal: it needs a command")),
        false => Ok(command.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_client_takes_a_command_only() {
        let script = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            script(&words).map_err(|error| error.kind)
        };
        assert_eq!(script(&["ls", "-l"]), Ok("ls -l".to_owned()));
        assert_eq!(script(&["--", "-x", "a b"]), Ok("-x a b".to_owned()));
        for bad in [&[][..], &["--"], &["-t", "ls"]] {
            assert_eq!(script(bad), Err(ErrorKind::Usage), "{bad:?}");
        }
    }
}
