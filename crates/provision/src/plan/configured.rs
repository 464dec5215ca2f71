//! The engine's configuration as it is to be, and where it is written.

use std::collections::BTreeMap;

use rmachine_driver::CheckFailure;

use crate::facts::{Facts, Init, ServiceFacts};
use crate::options::{self, Contribution, Shape, TLS_FLAGS};
use crate::plan::command_line::{CommandLine, Flag};
use crate::plan::daemon_json::DaemonJson;
use crate::plan::{
    DAEMON_JSON, ENVIRONMENT, FileWrite, Step, checks, escape, failure, listen, shell_file, unit,
};
use crate::template;
use crate::wanted::Wanted;

/// Where the engine's command line is written.
pub(super) enum Place {
    DropIn {
        path: String,
        others: Vec<String>,
        command: CommandLine,
    },
    ShellFile(shell_file::ShellFile),
}

impl Place {
    /// Finds it on a host.
    pub(super) fn of(facts: &Facts, service: &ServiceFacts) -> Result<Self, CheckFailure> {
        if facts.init != Init::Systemd {
            return Ok(Self::ShellFile(shell_file::ShellFile::read(facts)));
        }
        let unit = unit::read(facts, service);
        let path = unit.drop_in().map_err(|path| {
            failure(
                path,
                "its ExecStart would win over rmachine's drop-in".to_owned(),
                "rename the file so that it sorts before zz-machine.conf, and run \
                 `systemctl daemon-reload` on the host",
            )
        })?;
        let command = unit.command.as_deref().ok_or_else(|| {
            failure(
                &service.fragment,
                "it has no ExecStart".to_owned(),
                "correct the unit on the host",
            )
        })?;
        Ok(Self::DropIn {
            others: unit::our_paths()
                .into_iter()
                .filter(|other| *other != path && facts.files.contains_key(other))
                .collect(),
            command: CommandLine::parse(command, &unit.environment),
            path,
        })
    }

    fn command(&self) -> &CommandLine {
        match self {
            Self::DropIn { command, .. } => command,
            Self::ShellFile(file) => file.command(),
        }
    }

    /// What holds the command line, for messages.
    fn name(&self) -> &str {
        match self {
            Self::DropIn { .. } => "docker.service",
            Self::ShellFile(file) => file.path(),
        }
    }

    /// The files that hold the new command line and environment: those to write and those to
    /// remove.
    pub(super) fn files(
        &self,
        facts: &Facts,
        configured: &Configured,
        wanted: &Wanted,
    ) -> Result<Vec<Step>, CheckFailure> {
        match self {
            Self::DropIn { path, others, .. } => {
                let env = wanted.engine.env.as_slice();
                let file = (!env.is_empty()).then_some(ENVIRONMENT);
                let content = template::drop_in(&configured.systemd_command(), file)
                    .map_err(|error| failure(path, error.to_string(), "report this"))?;
                let mut steps = Vec::new();
                // Any user can read `Environment=`, in the file and from systemd over D-Bus.
                if !env.is_empty() {
                    steps.push(Step::Write(FileWrite {
                        path: ENVIRONMENT.to_owned(),
                        mode: 0o600,
                        content: escape::environment_file(env),
                        secret: true,
                    }));
                }
                steps.push(Step::Write(FileWrite {
                    path: path.clone(),
                    mode: 0o644,
                    content,
                    secret: false,
                }));
                let unused = env.is_empty() && facts.files.contains_key(ENVIRONMENT);
                let unused = unused.then(|| ENVIRONMENT.to_owned());
                let removed = others.iter().cloned().chain(unused);
                steps.extend(removed.map(|path| Step::Remove { path }));
                Ok(steps)
            }
            Self::ShellFile(file) => {
                let added = shell_file::Added {
                    hosts: &configured.hosts,
                    arguments: &configured.arguments,
                    storage: wanted.engine.storage_driver.as_deref(),
                    env: &wanted.engine.env,
                };
                let replaced = configured.command != *file.command();
                let secret = !wanted.engine.env.is_empty();
                Ok(vec![Step::Write(FileWrite {
                    path: file.path().to_owned(),
                    mode: mode(facts, file.path(), secret),
                    content: file.with(&configured.command, replaced, &added)?,
                    secret,
                })])
            }
        }
    }
}

/// The mode of a file of which a part is the owner's: as it is, but for root only where secrets are
/// added.
pub(super) fn mode(facts: &Facts, path: &str, secret: bool) -> u32 {
    let present = facts.files.get(path).map_or(0o644, |file| file.mode);
    if secret { present & !0o077 } else { present }
}

/// The engine's whole configuration.
pub(super) struct Configured {
    pub json: DaemonJson,
    command: CommandLine,
    /// Hosts that are new on the command line.
    hosts: Vec<String>,
    /// Other arguments that are new there.
    arguments: Vec<String>,
    /// What the owner should know.
    pub warnings: Vec<String>,
}

impl Configured {
    /// Merges what is there with what is wanted.
    pub(super) fn new(
        place: &Place,
        mut json: DaemonJson,
        contributions: &[Contribution],
        wanted: &Wanted,
        service: &ServiceFacts,
    ) -> Self {
        let mut command = place.command().clone();
        let arguments: Vec<String> = contributions
            .iter()
            .filter_map(|contribution| match contribution {
                Contribution::Argument(word) => Some(word.clone()),
                _ => None,
            })
            .collect();
        let hosts = match place {
            // Its script adds the socket, and one variable holds all other hosts.
            Place::ShellFile(file) if file.is_boot2docker() => {
                command.remove(|flag| flag.name == "host");
                let ours = CommandLine::parse(&arguments.join(" "), &BTreeMap::new());
                command.remove(|flag| ours.flags().any(|our| gives_way(flag, our)));
                vec![listen::ours(&wanted.engine)]
            }
            _ => listen::hosts(
                &mut command,
                json.moved_hosts(),
                service.socket,
                &wanted.engine,
            ),
        };
        command.remove(|flag| TLS_FLAGS.contains(&flag.name.as_str()));
        let mut warnings = checks::plain_hosts(
            command
                .flags()
                .filter(|flag| flag.name == "host")
                .filter_map(|flag| flag.value.as_deref())
                .chain(hosts.iter().map(String::as_str)),
            wanted.engine.port,
        );
        // dockerd does not take the same setting from the command line and from the file.
        for flag in command.remove(|flag| json.is_ours(flag.key())) {
            match moved(&flag) {
                Some(contribution) => json.add(&contribution),
                None => warnings.push(format!(
                    "{} of {} gives way to the wanted {}",
                    flag.name,
                    place.name(),
                    flag.key()
                )),
            }
        }
        Self {
            json,
            command,
            hosts,
            arguments,
            warnings,
        }
    }

    /// Settings that dockerd would meet twice.
    pub(super) fn conflicts(&self, place: &Place) -> Vec<CheckFailure> {
        let no_variables = BTreeMap::new();
        let ours = CommandLine::parse(&self.arguments.join(" "), &no_variables);
        let twice = |flag: &&Flag| {
            // dockerd merges runtimes from both.
            flag.key() != "runtimes" && self.json.owner_keys().any(|key| key == flag.key())
        };
        let owners = self.command.flags().filter(twice).map(|flag| {
            failure(
                DAEMON_JSON,
                format!(
                    "it sets {:?}, and so does --{} in {}: dockerd does not start with both",
                    flag.key(),
                    flag.name,
                    place.name()
                ),
                "remove one of them on the host",
            )
        });
        let asked = ours.flags().filter(twice).map(|flag| {
            failure(
                &format!("engine option {}", flag.name),
                format!("{DAEMON_JSON} on the host sets {:?} already", flag.key()),
                "remove it from the file on the host, or leave the option away",
            )
        });
        owners.chain(asked).collect()
    }

    /// The words that are new on the command line.
    fn added(&self) -> Vec<String> {
        let hosts = self
            .hosts
            .iter()
            .flat_map(|host| ["-H".to_owned(), host.clone()]);
        hosts.chain(self.arguments.iter().cloned()).collect()
    }

    fn systemd_command(&self) -> String {
        let added: Vec<String> = self
            .added()
            .iter()
            .map(|word| escape::argument(word))
            .collect();
        format!("{} {}", self.command.text(), added.join(" "))
    }

    /// The arguments for a trial run.
    pub(super) fn trial(&self) -> Vec<String> {
        let mut arguments = self.command.arguments();
        arguments.extend(self.added());
        arguments
    }
}

/// Whether a flag of the owner cannot stand beside one of ours: it says the same, or another value
/// where there can be only one.
fn gives_way(flag: &Flag, our: &Flag) -> bool {
    let several = options::by_flag(&flag.name)
        .is_some_and(|row| matches!(row.shape, Shape::List | Shape::Map | Shape::Ulimit));
    let label = |flag: &Flag| {
        let (key, _) = flag.value.as_deref()?.split_once('=')?;
        (flag.name == "label").then(|| key.to_owned())
    };
    flag.name == our.name
        && (!several
            || flag.value == our.value
            || (label(our).is_some() && label(flag) == label(our)))
}

/// What a flag on the command line means in `daemon.json`, where the file can hold several.
fn moved(flag: &Flag) -> Option<Contribution> {
    let row = options::by_flag(&flag.name)?;
    let option = crate::wanted::EngineOption {
        name: flag.name.clone(),
        value: flag.value.clone(),
    };
    match row.shape {
        Shape::List | Shape::Map | Shape::Ulimit => options::contribution(&option, None).ok(),
        _ => None,
    }
}
