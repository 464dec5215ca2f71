use clap::builder::PossibleValuesParser;
use clap_complete::env::{CompleteEnv, Shells};

use super::{App, command};
use crate::Process;
use crate::error::{CommandError, Status};

/// The variable through which a completion script asks for candidates.
const VARIABLE: &str = "RMACHINE_COMPLETE";

/// Print a script that makes a shell complete commands, flags and machine names
///
/// bash: rmachine completion bash > /etc/bash_completion.d/rmachine
///
/// zsh: rmachine completion zsh > "${fpath[1]}/_rmachine"
///
/// fish: rmachine completion fish > ~/.config/fish/completions/rmachine.fish
///
/// powershell: rmachine completion powershell | Out-String | Invoke-Expression
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(["bash", "zsh", "fish", "powershell"]))]
    shell: String,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let mut script = Vec::new();
    Shells::builtins()
        .completer(&args.shell)
        .ok_or_else(|| CommandError::usage(format!("no completion for {}", args.shell)))?
        .write_registration(VARIABLE, "rmachine", "rmachine", "rmachine", &mut script)
        .map_err(|e| CommandError::failed("cannot write the script").caused_by(&e))?;
    app.ui.exact(&String::from_utf8_lossy(&script))?;
    Ok(Status::OK)
}

/// Answers a completion script that asks for candidates; `false` when none does.
///
/// # Errors
/// When the question cannot be understood.
pub fn answered(process: &Process) -> Result<bool, CommandError> {
    if process.var(VARIABLE).is_none() {
        return Ok(false);
    }
    // The words of the line that is being typed follow the first `--`.
    let mut words = process.args().splitn(2, |word| word == "--").skip(1);
    let words = words.next().unwrap_or_default();
    CompleteEnv::with_factory(|| command(process, words))
        .var(VARIABLE)
        .try_complete(process.args(), None)
        .map_err(|e| CommandError::failed("cannot complete").caused_by(&e))
}
