use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rmachine_cluster::{ClusterError, ClusterGuard, Lease, Orchestrator};
use tokio::process::{Child, Command};

use super::App;
use super::client::Client;
use super::cluster::{Bring, ClusterFile, FileArg, bring_up, take, take_down};
use super::env;
use super::interrupt::{Interrupts, SETTLE};
use super::up::JOBS;
use crate::error::{CommandError, ErrorKind, Status};

/// How long the command may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(10);

/// What the command finds in its environment; a variable without a value is taken away.
type Variables = Vec<(&'static str, Option<String>)>;

/// Bring a cluster up, run a command with its environment, and take the cluster down again
///
/// The command gets what 'rmachine env' prints: of the cluster's manager, or of the first machine
/// where there is none. The cluster goes whatever happens: when the command ends, when it fails,
/// when a machine cannot be made, at Ctrl-C, SIGTERM and SIGHUP. The exit code is the command's.
#[derive(clap::Args)]
#[command(override_usage = "rmachine run [OPTIONS] [FILE] -- COMMAND...")]
pub struct Args {
    #[command(flatten)]
    file: FileArg,

    /// The command
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,

    /// How many machines are worked on at the same time
    #[arg(short, long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let file = args.file.read(app)?;
    // From here on no signal ends this process by itself.
    let mut interrupts = Interrupts::listen()?;
    let guard = take(app, &file.cluster.name)?;
    ours(&guard, &file)?;
    let ran = bring_up_and_run(
        app,
        &file,
        &guard,
        &args.command,
        args.jobs,
        &mut interrupts,
    )
    .await;
    if matches!(&ran, Err(error) if error.kind == ErrorKind::Interrupted) {
        tokio::time::sleep(SETTLE).await;
    }
    app.ui
        .note(&format!("cluster {}: taking it down", file.cluster.name));
    let left = take_down(app, &guard, args.jobs, true).await?;
    let left = left.told(app);
    match ran {
        Ok(Status::OK) => Ok(left),
        ran => ran,
    }
}

/// What is taken down at the end must not have been there before; what an earlier `run` was kept
/// from removing is not wanted any more.
fn ours(guard: &ClusterGuard, file: &ClusterFile) -> Result<(), CommandError> {
    let journal = guard.journal();
    let present = journal.is_some_and(|journal| {
        journal.lease != Some(Lease::Process) && !journal.machines.is_empty()
    });
    match present {
        false => Ok(()),
        true => Err(CommandError::of_cluster(ClusterError::Present {
            name: file.cluster.name.clone(),
        })),
    }
}

async fn bring_up_and_run(
    app: &App,
    file: &ClusterFile,
    guard: &ClusterGuard,
    command: &[OsString],
    jobs: usize,
    interrupts: &mut Interrupts,
) -> Result<Status, CommandError> {
    let bring = Bring {
        jobs,
        prune: true,
        recreate: true,
        lease: Some(Lease::Process),
    };
    let brought = tokio::select! {
        brought = bring_up(app, file, guard, bring) => brought?.told(app),
        signal = interrupts.next() => return Err(interrupted(signal)),
    };
    if brought != Status::OK {
        return Ok(brought);
    }
    let variables = tokio::select! {
        variables = variables(app, file) => variables?,
        signal = interrupts.next() => return Err(interrupted(signal)),
    };
    let child = spawn(command, &variables)?;
    let status = wait(child, interrupts, app.process.stdio_is_terminal()).await;
    let status = status
        .map_err(|error| CommandError::failed("cannot wait for the command").caused_by(&error))?;
    Ok(Status(exit_code(status)))
}

fn interrupted(signal: Signal) -> CommandError {
    CommandError::new(
        ErrorKind::Interrupted,
        format!("interrupted by {signal} before the command was run"),
    )
}

/// The variables of the manager's engine, or of the first machine's where there is no manager.
async fn variables(app: &App, file: &ClusterFile) -> Result<Variables, CommandError> {
    let cluster = &file.cluster;
    let member = cluster.first_manager().or(cluster.members.first());
    let Some(member) = member else {
        return Ok(Vec::new());
    };
    let machine = app.machine(member.name())?;
    let client = match cluster.orchestrator {
        Orchestrator::Classic | Orchestrator::SwarmMode => Client::of_swarm(app, &machine).await?,
        Orchestrator::None => Client::of(app, &machine).await?,
    };
    client.check(&machine).await?;
    env::variables(&client, member.name().as_str())
}

fn spawn(command: &[OsString], variables: &Variables) -> Result<Child, CommandError> {
    let Some((program, args)) = command.split_first() else {
        return Err(CommandError::usage("no command is given"));
    };
    let mut child = Command::new(program);
    child.args(args);
    for (name, value) in variables {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    child.spawn().map_err(|error| {
        let program = program.to_string_lossy();
        CommandError::failed(format!("cannot run {program}")).caused_by(&error)
    })
}

/// Waits for the command, and passes on what this process is told. On a terminal Ctrl-C reaches
/// the command by itself.
async fn wait(
    mut child: Child,
    interrupts: &mut Interrupts,
    terminal: bool,
) -> io::Result<ExitStatus> {
    let told = tokio::select! {
        status = child.wait() => return status,
        told = interrupts.next() => told,
    };
    if !(terminal && told == Signal::SIGINT) {
        pass_on(&child, told);
    }
    loop {
        tokio::select! {
            status = child.wait() => return status,
            more = interrupts.next() => pass_on(&child, more),
            () = tokio::time::sleep(GRACE) => {
                child.start_kill()?;
                return child.wait().await;
            }
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid {
        // A command that has just ended hears nothing, and its end is what is waited for.
        kill(Pid::from_raw(pid), signal).ok();
    }
}

/// As a shell tells it: 128 and the signal's number of a command that a signal ended.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_as_the_command_did() {
        for (raw, code) in [(0, 0), (3 << 8, 3), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), code, "{raw}");
        }
    }
}
