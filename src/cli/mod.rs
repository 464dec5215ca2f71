//! The commands: one file each, with its arguments and what it does.

mod active;
mod app;
mod client;
mod cluster;
mod completion;
mod config;
mod create;
mod down;
mod duration;
mod each;
mod env;
mod gc;
mod inspect;
mod interrupt;
mod ip;
mod iso;
mod kill;
mod ls;
mod names;
mod plan;
mod provision;
mod regenerate_certs;
mod restart;
mod rm;
mod run;
mod scp;
mod snapshot;
mod ssh;
mod start;
mod status;
mod stop;
mod up;
mod url;
mod version;

use std::ffi::OsString;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use rmachine_core::printable::{self, RecordFormat, RecordWriter};

pub use app::{App, Globals, Machine};

use crate::Process;
use crate::drivers::{self, Surroundings};
use crate::error::{CommandError, ErrorKind, Status};
use crate::ui::Ui;

/// Docker hosts on VMs, containers and any SSH machine, behind mutual TLS.
#[derive(Parser)]
#[command(
    name = "rmachine",
    bin_name = "rmachine",
    version = version::TEXT,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Run 'rmachine COMMAND --help' for more on a command."
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,

    /// Print the version
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Active(active::Args),
    Cluster(cluster::Args),
    Completion(completion::Args),
    Config(config::Args),
    Create(Box<create::Args>),
    Down(down::Args),
    Env(env::Args),
    Gc(gc::Args),
    Inspect(inspect::Args),
    Ip(ip::Args),
    Iso(iso::Args),
    Kill(kill::Args),
    Ls(ls::Args),
    Plan(plan::Args),
    Provision(provision::Args),
    RegenerateCerts(regenerate_certs::Args),
    Restart(restart::Args),
    Rm(rm::Args),
    Run(run::Args),
    Scp(scp::Args),
    Snapshot(snapshot::Args),
    Ssh(ssh::Args),
    Start(start::Args),
    Status(status::Args),
    Stop(stop::Args),
    Up(up::Args),
    Url(url::Args),
    Version(version::Args),
}

impl Command {
    async fn run(self, app: &App) -> Result<Status, CommandError> {
        match self {
            Self::Active(args) => active::run(args, app).await,
            Self::Cluster(args) => cluster::run(args, app).await,
            Self::Completion(args) => completion::run(args, app).await,
            Self::Config(args) => config::run(args, app).await,
            Self::Create(args) => create::run(*args, app).await,
            Self::Down(args) => down::run(args, app).await,
            Self::Env(args) => env::run(args, app).await,
            Self::Gc(args) => gc::run(args, app).await,
            Self::Inspect(args) => inspect::run(args, app).await,
            Self::Ip(args) => ip::run(args, app).await,
            Self::Iso(args) => iso::run(args, app).await,
            Self::Kill(args) => kill::run(args, app).await,
            Self::Ls(args) => ls::run(args, app).await,
            Self::Plan(args) => plan::run(args, app).await,
            Self::Provision(args) => provision::run(args, app).await,
            Self::RegenerateCerts(args) => regenerate_certs::run(args, app).await,
            Self::Restart(args) => restart::run(args, app).await,
            Self::Rm(args) => rm::run(args, app).await,
            Self::Run(args) => run::run(args, app).await,
            Self::Scp(args) => scp::run(args, app).await,
            Self::Snapshot(args) => snapshot::run(args, app).await,
            Self::Ssh(args) => ssh::run(args, app).await,
            Self::Start(args) => start::run(args, app).await,
            Self::Status(args) => status::run(args, app).await,
            Self::Stop(args) => stop::run(args, app).await,
            Self::Up(args) => up::run(args, app).await,
            Self::Url(args) => url::run(args, app).await,
            Self::Version(args) => version::run(args, app).await,
        }
    }
}

/// Parses the arguments, runs the command and shows its error.
pub fn run(process: Process) -> Status {
    let process = Arc::new(process);
    match completion::answered(&process) {
        Ok(true) => return Status::OK,
        Ok(false) => {}
        Err(error) => return failed(&process, &error),
    }
    let cli = match parsed(&process) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    trace(&cli.globals);
    let app = match App::new(process.clone(), cli.globals) {
        Ok(app) => app,
        Err(error) => return failed(&process, &error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli.command.run(&app));
            // A name lookup or a read that hangs in a thread of its own must not keep the program.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(CommandError::failed("cannot start the runtime").caused_by(&error)),
    };
    outcome.unwrap_or_else(|error| app.ui.errors(&[error]))
}

/// The command tree; `create` has the flags of the driver that these words choose.
fn command(process: &Process, words: &[OsString]) -> clap::Command {
    let command = Cli::command();
    let chosen = create::chosen_driver(process, words, &command);
    let kinds = drivers::kinds(Surroundings::default());
    let kind = kinds
        .iter()
        .find(|kind| chosen.as_deref() == Some(kind.name()));
    match kind {
        Some(kind) => command.mut_subcommand("create", |create| {
            create::with_driver_flags(create, kind.as_ref())
        }),
        None => command,
    }
}

fn parsed(process: &Process) -> Result<Cli, Status> {
    command(process, process.args())
        .try_get_matches_from(process.args())
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches))
        .map_err(|error| {
            // Help and version are data; what is wrong with the arguments is not.
            let text = error.render().to_string();
            if error.use_stderr() {
                process.write_err(text.as_bytes());
                Status(ErrorKind::Usage.exit_code())
            } else {
                let _ = process.write_out(text.as_bytes());
                Status::OK
            }
        })
}

fn failed(process: &Arc<Process>, error: &CommandError) -> Status {
    Ui::new(process.clone(), Default::default()).errors(std::slice::from_ref(error))
}

fn trace(globals: &Globals) {
    if globals.debug {
        let filter = tracing_subscriber::EnvFilter::new("rmachine=debug,warn");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(|| RecordWriter::new(std::io::stderr(), RecordFormat::Text))
            .init();
    }
}

/// Prints an answer a line, in the machines' order, and then the errors.
fn told_of_each<E: Into<CommandError>>(
    app: &App,
    machines: &[Machine],
    answers: Vec<Result<String, E>>,
) -> Result<Status, CommandError> {
    let mut lines = String::new();
    let mut errors = Vec::new();
    for (machine, answer) in machines.iter().zip(answers) {
        match answer {
            Ok(answer) => {
                lines.push_str(&printable::line(&answer));
                lines.push('\n');
            }
            Err(error) => errors.push(error.into().of_machine(machine.name().as_str())),
        }
    }
    app.ui.data(&lines)?;
    Ok(app.ui.errors(&errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
