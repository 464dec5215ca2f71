//! The command line: the original's commands, flags, variables and defaults.

mod create;
mod discovery;
mod failure;
mod health;
mod image;
mod join;
mod list;
mod logging;
mod manage;
mod stop;
mod store;
mod tls;
mod version;
mod words;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use rmachine_core::printable;

/// One Docker API for many engines.
#[derive(Parser)]
#[command(
    name = "rswarm",
    version = version::TEXT,
    disable_version_flag = true,
    disable_help_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Run 'rswarm COMMAND --help' for more on a command."
)]
struct Cli {
    #[command(flatten)]
    log: logging::LogArgs,

    /// Taken for the original's sake; nothing is experimental here
    #[arg(long, global = true, hide = true)]
    experimental: bool,

    /// Print the version
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Print help
    #[arg(short, long, action = clap::ArgAction::Help, global = true)]
    help: Option<bool>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(visible_alias = "m")]
    Manage(Box<manage::Args>),
    #[command(visible_alias = "j")]
    Join(join::Args),
    #[command(visible_alias = "l")]
    List(list::Args),
    #[command(visible_alias = "c")]
    Create(create::Args),
    Discovery(discovery::Args),
    Health(health::Args),
    Image(image::Args),
    Version(version::Args),
}

/// Parses the words of a command line, runs the command and tells of its failure: exit code 0
/// when all went well, 1 when something failed, 2 when the command line is wrong.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words::with_two_dashes(words)) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    cli.log.start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(execute(cli.command));
            // A name lookup that hangs in a thread of its own must not keep the program.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::from(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            let message = printable::indented(&message, "  ");
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Manage(args) => manage::run(*args).await,
        Command::Join(args) => join::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Create(args) => create::run(args).await,
        Command::Discovery(args) => discovery::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Image(args) => image::run(args),
        Command::Version(args) => version::run(&args),
    }
}

/// Writes data to standard output, control and formatting characters escaped.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let text = printable::document(text);
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read this has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
