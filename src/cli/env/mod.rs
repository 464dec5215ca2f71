//! `env`: the variables that make a docker client talk to a machine.

mod proxy;
mod shell;
#[cfg(test)]
mod shell_tests;

use std::path::Path;

use super::App;
use super::client::Client;
use super::names::OneName;
use crate::Process;
use crate::error::{CommandError, Status};
use shell::Shell;

const TLS_VERIFY: &str = "DOCKER_TLS_VERIFY";
const HOST: &str = "DOCKER_HOST";
const CERT_PATH: &str = "DOCKER_CERT_PATH";
const MACHINE_NAME: &str = "DOCKER_MACHINE_NAME";

/// Print the commands that make the docker client of a shell talk to a machine
///
/// Before it prints, the engine must have answered at this very address and with these very
/// certificates.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: OneName,

    /// Talk to the cluster that the machine is the master of
    #[arg(long)]
    swarm: bool,

    /// bash, zsh, sh, ksh, fish, tcsh, cmd, powershell or emacs [default: what $SHELL says]
    #[arg(long, value_name = "SHELL")]
    shell: Option<String>,

    /// Print the commands that take the variables away again
    #[arg(short, long, conflicts_with = "swarm")]
    unset: bool,

    /// Add the machine's address to NO_PROXY
    #[arg(long)]
    no_proxy: bool,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let shell = chosen_shell(args.shell.as_deref(), &app.process)?;
    let mut text = match args.unset {
        true => unset(&args, shell, &app.process)?,
        false => set(args, shell, app).await?,
    };
    text.push_str(&shell.hint(&typed(&app.process)));
    app.ui.exact(&text)?;
    Ok(Status::OK)
}

async fn set(args: Args, shell: Shell, app: &App) -> Result<String, CommandError> {
    let machine = args.name.machine(app)?;
    let name = machine.name().as_str();
    let client = match args.swarm {
        true => Client::of_swarm(app, &machine).await?,
        false => Client::of(app, &machine).await?,
    };
    client.check(&machine).await?;

    let variables = variables(&client, name)?;
    let mut variables: Vec<(&str, Option<&str>)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_deref()))
        .collect();
    let no_proxy = client
        .host()
        .filter(|_| args.no_proxy)
        .map(|host| proxy::with_host(&app.process, host));
    if let Some((name, value)) = &no_proxy {
        variables.push((name, Some(value)));
    }
    written(shell, &variables)
}

/// What makes a docker client talk to a machine; a variable without a value has to be unset.
///
/// # Errors
/// When the certificates lie under a path that is not UTF-8.
pub fn variables(
    client: &Client,
    name: &str,
) -> Result<Vec<(&'static str, Option<String>)>, CommandError> {
    let directory = client.certificates.as_deref();
    let directory = directory.map(as_text).transpose()?;
    Ok(vec![
        (TLS_VERIFY, directory.map(|_| "1".to_owned())),
        (HOST, Some(client.url.clone())),
        (CERT_PATH, directory.map(str::to_owned)),
        (MACHINE_NAME, Some(name.to_owned())),
    ])
}

fn unset(args: &Args, shell: Shell, process: &Process) -> Result<String, CommandError> {
    if args.name.is_given() {
        return Err(
            CommandError::usage("--unset takes no machine name").hint("rmachine env --unset")
        );
    }
    let mut variables = vec![
        (TLS_VERIFY, None),
        (HOST, None),
        (CERT_PATH, None),
        (MACHINE_NAME, None),
    ];
    let client = Client {
        url: process.var(HOST).unwrap_or_default().to_owned(),
        certificates: None,
    };
    let no_proxy = args
        .no_proxy
        .then(|| proxy::without_host(process, client.host()));
    if let Some((name, value)) = &no_proxy {
        variables.push((name, value.as_deref()));
    }
    written(shell, &variables)
}

/// A line for each variable; one without a value is unset, so that none is left of a machine that
/// was in force before.
fn written(shell: Shell, variables: &[(&str, Option<&str>)]) -> Result<String, CommandError> {
    // `eval $(…)` joins the lines: `export` takes the words of the next `export` for names, which
    // does no harm, but between `export` and `unset` there must be an end.
    let sets = variables
        .iter()
        .filter(|(_, value)| value.is_some())
        .count();
    let mixed = sets != 0 && sets != variables.len();
    let mut text = String::new();
    for (name, value) in variables {
        let line = match value {
            Some(value) => shell.set(name, value).map_err(|error| {
                CommandError::failed(format!("{name} cannot be set")).caused_by(&error)
            })?,
            None => shell.unset(name),
        };
        match shell {
            Shell::Bash | Shell::Posix if mixed => {
                text.push_str(line.trim_end_matches('\n'));
                text.push_str(";\n");
            }
            _ => text.push_str(&line),
        }
    }
    Ok(text)
}

fn as_text(path: &Path) -> Result<&str, CommandError> {
    path.to_str()
        .ok_or_else(|| CommandError::failed(format!("the path {} is not UTF-8", path.display())))
}

fn typed(process: &Process) -> Vec<String> {
    let words = process.args().iter();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn chosen_shell(flag: Option<&str>, process: &Process) -> Result<Shell, CommandError> {
    let found = match flag {
        Some(name) => Some(name.to_owned()),
        None => process.shell(),
    };
    let found = found.ok_or_else(|| {
        CommandError::usage("which shell is to read this is not known: $SHELL is not set")
            .hint("rmachine env --shell bash NAME")
    })?;
    found.parse().map_err(|error: shell::UnknownShell| {
        CommandError::usage(error.to_string()).hint("rmachine env --shell sh NAME")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_environment() {
        let process = Process::of(&[], &[("SHELL", "/usr/bin/fish")]);
        assert_eq!(chosen_shell(None, &process), Ok(Shell::Fish));
        assert_eq!(chosen_shell(Some("tcsh"), &process), Ok(Shell::Tcsh));
        assert!(chosen_shell(Some("nu"), &process).is_err());
        assert!(chosen_shell(None, &Process::of(&[], &[])).is_err());
    }

    #[test]
    fn a_variable_without_a_value_is_unset() {
        let text = written(
            Shell::Posix,
            &[(TLS_VERIFY, None), (HOST, Some("unix:///s"))],
        );
        assert_eq!(
            text.unwrap(),
            "unset DOCKER_TLS_VERIFY;\nexport DOCKER_HOST=\"unix:///s\";\n"
        );
    }

    #[test]
    fn taking_away_names_every_variable() {
        let process = Process::of(
            &[],
            &[
                ("DOCKER_HOST", "tcp://10.0.0.1:2376"),
                ("NO_PROXY", "a,10.0.0.1"),
            ],
        );
        let args = Args {
            name: OneName::default(),
            swarm: false,
            shell: None,
            unset: true,
            no_proxy: true,
        };
        assert_eq!(
            unset(&args, Shell::Posix, &process).unwrap(),
            "unset DOCKER_TLS_VERIFY;\nunset DOCKER_HOST;\nunset DOCKER_CERT_PATH;\n\
             unset DOCKER_MACHINE_NAME;\nexport NO_PROXY=\"a\";\n"
        );
    }
}
