//! Hosts without systemd: a file of shell assignments that the service's script reads.

use std::collections::BTreeMap;

use rmachine_driver::CheckFailure;

use crate::env_var::EnvVar;
use crate::facts::{Facts, Init};
use crate::plan::command_line::CommandLine;
use crate::plan::{failure, unit};
use crate::template::{self, Boot2Docker};

const BEGIN: &str = "# rmachine begins";
const END: &str = "# rmachine ends";

/// Where boot2docker keeps the engine's configuration over a reboot.
const PROFILE: &str = "/var/lib/boot2docker/profile";

/// Whether a host is boot2docker, or an image in its manner.
pub(super) fn is_boot2docker(facts: &Facts) -> bool {
    facts.os.id == "boot2docker"
}

/// What our part says.
pub(super) struct Added<'a> {
    /// Hosts that are new.
    pub hosts: &'a [String],
    /// Arguments that are new.
    pub arguments: &'a [String],
    /// A storage driver, where the script takes one apart from the arguments.
    pub storage: Option<&'a str>,
    pub env: &'a [EnvVar],
}

/// The file, the owner's part of it and the command line in it.
pub(super) struct ShellFile {
    path: &'static str,
    /// It is boot2docker's profile, whose script knows more variables.
    boot2docker: bool,
    owner: String,
    command: CommandLine,
}

impl ShellFile {
    /// Takes the file of this init system apart.
    pub(super) fn read(facts: &Facts) -> Self {
        let boot2docker = is_boot2docker(facts);
        let (path, variable) = match facts.init {
            _ if boot2docker => (PROFILE, "EXTRA_ARGS"),
            Init::Openrc => ("/etc/conf.d/docker", "DOCKER_OPTS"),
            _ => ("/etc/default/docker", "DOCKER_OPTS"),
        };
        let owner = without_ours(facts.text(path).unwrap_or_default());
        let mut environment = BTreeMap::new();
        unit::read_environment_file(&mut environment, &owner);
        let options = match boot2docker {
            // docker-machine's quotes go over several lines.
            true => assigned(&owner, variable),
            false => environment.remove(variable),
        };
        let options = options.unwrap_or_default();
        Self {
            path,
            boot2docker,
            command: CommandLine::parse(&options, &environment),
            owner,
        }
    }

    pub(super) fn path(&self) -> &str {
        self.path
    }

    pub(super) fn is_boot2docker(&self) -> bool {
        self.boot2docker
    }

    pub(super) fn command(&self) -> &CommandLine {
        &self.command
    }

    /// The file with our part behind the owner's, which stays as it is.
    pub(super) fn with(
        &self,
        command: &CommandLine,
        replaced: bool,
        added: &Added<'_>,
    ) -> Result<String, CheckFailure> {
        // The script splits the variable at blanks, and knows no quotes in it.
        let mut words = added.hosts.iter().chain(added.arguments);
        if let Some(word) = words.find(|word| word.contains(char::is_whitespace)) {
            return Err(failure(
                &format!("engine option {word:?}"),
                format!("{} cannot hold a value with a blank", self.path),
                "give the option without blanks",
            ));
        }
        let kept = if replaced { Some(command.text()) } else { None };
        let hosts: Vec<String> = added
            .hosts
            .iter()
            .map(|host| format!("-H {host}"))
            .collect();
        let arguments = added.arguments.join(" ");
        let block = match self.boot2docker {
            true => {
                let profile = Boot2Docker {
                    hosts: hosts.join(" "),
                    storage: added.storage,
                    env: added.env,
                };
                template::boot2docker_block(kept.as_deref(), &arguments, &profile)
            }
            false => {
                let words: Vec<String> = hosts.into_iter().chain([arguments]).collect();
                let words = words.join(" ");
                template::shell_block(kept.as_deref(), words.trim_end(), added.env)
            }
        };
        let block = block.map_err(|error| failure(self.path, error.to_string(), "report this"))?;
        let mut text = self.owner.clone();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{BEGIN}\n{block}{END}\n"));
        Ok(text)
    }
}

/// What the last assignment of a shell script gives to a variable.
fn assigned(text: &str, variable: &str) -> Option<String> {
    let words = shlex::split(text)?;
    let value = |word: &String| Some(word.strip_prefix(variable)?.strip_prefix('=')?.to_owned());
    words.iter().rev().find_map(value)
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
