//! From what a host is and what is wanted to what must be done: a pure function.

mod checks;
mod command_line;
mod configure;
mod configured;
mod daemon_json;
mod display;
mod escape;
mod hostname;
mod install;
mod listen;
mod shell_file;
mod steps;
mod unit;

use rmachine_driver::CheckFailure;

use crate::error::Refusals;
use crate::facts::{Facts, Init, PackageManager, Unfinished};
use crate::wanted::Wanted;

/// Where everything that rmachine keeps on a host is.
pub(crate) const STATE_DIR: &str = "/var/lib/rmachine";
pub(crate) const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// The engine's environment on hosts with systemd.
pub(crate) const ENVIRONMENT: &str = "/etc/docker/rmachine.env";
const APPLIED_NOTE: &str = "/var/lib/rmachine/applied.json";

/// What must be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How far this plan goes.
    pub stage: Stage,
    /// The steps; none when the host is what it should be.
    pub steps: Vec<Step>,
    /// What a person should know, and what stops nothing.
    pub warnings: Vec<String>,
    /// The engine's service.
    pub(crate) service: Service,
    /// The port on which the engine is to listen.
    pub(crate) port: u16,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the host gets other settings than it has; an engine may merely have to be started.
    pub fn changes_settings(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(
                step,
                Step::Write(_) | Step::Remove { .. } | Step::SetHostname { .. }
            )
        })
    }

    /// Whether the engine is restarted.
    pub fn restarts(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Restart { .. }))
    }
}

/// How far a plan goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The engine is installed. What its package brings is not known before: read the facts again
    /// and plan again.
    Install,
    /// The engine is configured; after this plan the host is what it should be.
    Configure,
}

/// A service and who starts it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Service {
    pub init: Init,
    pub name: String,
}

impl Service {
    /// The one that a host's engine has, or will have once it is installed.
    pub(crate) fn of(facts: &Facts) -> Self {
        let found = facts.service.as_ref();
        Self {
            init: facts.init,
            name: found.map_or_else(
                || "docker.service".to_owned(),
                |service| service.name.clone(),
            ),
        }
    }
}

/// One thing to do on a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Install the distribution's packages.
    InstallPackages {
        /// What installs them.
        manager: PackageManager,
        /// What must be installed.
        needed: Vec<String>,
        /// What is installed where the release has it.
        welcome: Vec<String>,
        /// A command that makes the packages known.
        before: Option<String>,
    },
    /// Fetch a script and run it.
    RunInstallScript {
        /// From where.
        url: String,
        /// What installs curl, when there is nothing to fetch with.
        fetcher_from: Option<PackageManager>,
    },
    /// Take away what a run that was cut off had staged.
    TidyUp,
    /// Write a file.
    Write(FileWrite),
    /// Take a file away.
    Remove {
        /// Which.
        path: String,
    },
    /// Give the host its name.
    SetHostname {
        /// The name.
        name: String,
    },
    /// Let the service be started again: an installation that was cut off held it back.
    Unmask,
    /// Let dockerd look at the new `daemon.json` before it is in its place.
    Validate {
        /// The dockerd.
        program: String,
        /// The arguments that it will have.
        arguments: Vec<String>,
    },
    /// Let the init system read the changed units.
    ReloadUnits,
    /// Start the service at boot.
    Enable {
        /// The service.
        service: String,
    },
    /// Restart the service and wait until it is up.
    Restart {
        /// The service.
        service: String,
        /// Why.
        reasons: Vec<String>,
    },
}

/// A file to write.
#[derive(Clone, PartialEq)]
pub struct FileWrite {
    /// Where.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its text, which ends with a line end.
    pub content: String,
    /// The text must not be shown.
    pub secret: bool,
}

/// Decides what must be done so that the host becomes what is wanted.
///
/// # Errors
/// [`Refusals`] with every reason why the host cannot become that.
pub fn plan(facts: &Facts, wanted: &Wanted) -> Result<Plan, Refusals> {
    let mut failures = checks::host(facts, wanted);
    let mut warnings = checks::warnings(facts);
    let installs = facts.engine.is_none() || facts.unfinished.contains(&Unfinished::Install);
    let made = if installs {
        failures.extend(checks::engine_options(&wanted.engine, None));
        install::steps(facts, wanted).map(|steps| Plan {
            stage: Stage::Install,
            steps,
            warnings: Vec::new(),
            service: Service {
                init: facts.init,
                name: "docker.service".to_owned(),
            },
            port: wanted.engine.port,
        })
    } else {
        configure::plan(facts, wanted)
    };
    match made {
        Ok(mut plan) if failures.is_empty() => {
            warnings.append(&mut plan.warnings);
            plan.warnings = warnings;
            Ok(plan)
        }
        Ok(_) => Err(Refusals(failures)),
        Err(more) => {
            failures.extend(more);
            Err(Refusals(failures))
        }
    }
}

pub(crate) fn failure(subject: &str, finding: String, remedy: impl Into<String>) -> CheckFailure {
    CheckFailure {
        subject: subject.to_owned(),
        finding,
        remedy: remedy.into(),
    }
}
