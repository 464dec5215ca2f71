//! Hosts without systemd: a file of shell assignments that the service's script reads.

use std::collections::BTreeMap;

use rmachine_driver::CheckFailure;

use crate::env_var::EnvVar;
use crate::facts::{Facts, Init};
use crate::plan::command_line::CommandLine;
use crate::plan::{failure, unit};
use crate::template;

const VARIABLE: &str = "DOCKER_OPTS";
const BEGIN: &str = "# rmachine begins";
const END: &str = "# rmachine ends";

/// The file, the owner's part of it and the command line in it.
pub(super) struct ShellFile {
    path: &'static str,
    owner: String,
    command: CommandLine,
}

impl ShellFile {
    /// Takes the file of this init system apart.
    pub(super) fn read(facts: &Facts) -> Self {
        let path = match facts.init {
            Init::Openrc => "/etc/conf.d/docker",
            _ => "/etc/default/docker",
        };
        let owner = without_ours(facts.text(path).unwrap_or_default());
        let mut environment = BTreeMap::new();
        unit::read_environment_file(&mut environment, &owner);
        let options = environment.remove(VARIABLE).unwrap_or_default();
        Self {
            path,
            command: CommandLine::parse(&options, &environment),
            owner,
        }
    }

    pub(super) fn path(&self) -> &str {
        self.path
    }

    pub(super) fn command(&self) -> &CommandLine {
        &self.command
    }

    /// The file with our part behind the owner's, which stays as it is.
    pub(super) fn with(
        &self,
        command: &CommandLine,
        replaced: bool,
        added: &[String],
        env: &[EnvVar],
    ) -> Result<String, CheckFailure> {
        // The script splits the variable at blanks, and knows no quotes in it.
        if let Some(word) = added.iter().find(|word| word.contains(char::is_whitespace)) {
            return Err(failure(
                &format!("engine option {word:?}"),
                format!("{} cannot hold a value with a blank", self.path),
                "give the option without blanks",
            ));
        }
        let kept = if replaced { Some(command.text()) } else { None };
        let block = template::shell_block(kept.as_deref(), &added.join(" "), env)
            .map_err(|error| failure(self.path, error.to_string(), "report this"))?;
        let mut text = self.owner.clone();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{BEGIN}\n{block}{END}\n"));
        Ok(text)
    }
}

fn without_ours(text: &str) -> String {
    let mut owner = String::new();
    let mut ours = false;
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            BEGIN => ours = true,
            END => ours = false,
            _ if !ours => owner.push_str(line),
            _ => {}
        }
    }
    owner
}
