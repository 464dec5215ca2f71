//! Machines' names as arguments.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use rmachine_driver::MachineName;
use rmachine_machine::Store;

use super::App;
use super::app::Machine;
use crate::Process;
use crate::error::CommandError;

/// The machine that is meant when none is named.
const DEFAULT: &str = "default";

/// One machine, or the one called `default`.
#[derive(clap::Args, Default)]
pub struct OneName {
    /// The machine [default: the one called "default"]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates))]
    name: Option<MachineName>,
}

/// Any number of machines, or the one called `default`.
#[derive(clap::Args)]
pub struct SomeNames {
    /// The machines [default: the one called "default"]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates))]
    names: Vec<MachineName>,
}

impl OneName {
    /// Whether a machine was named.
    pub fn is_given(&self) -> bool {
        self.name.is_some()
    }

    /// The name.
    ///
    /// # Errors
    /// When none was given and there is no machine `default`.
    pub fn resolve(self, app: &App) -> Result<MachineName, CommandError> {
        self.name.map_or_else(|| default(app), Ok)
    }

    /// The machine, read from the store.
    ///
    /// # Errors
    /// As [`OneName::resolve`] and [`App::machine`].
    pub fn machine(self, app: &App) -> Result<Machine, CommandError> {
        app.machine(&self.resolve(app)?)
    }
}

impl SomeNames {
    /// The names, each once, in the order in which they were given.
    ///
    /// # Errors
    /// When none was given and there is no machine `default`.
    pub fn resolve(self, app: &App) -> Result<Vec<MachineName>, CommandError> {
        let mut names = Vec::with_capacity(self.names.len());
        for name in self.names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            names.push(default(app)?);
        }
        Ok(names)
    }

    /// The machines, read from the store: all or none.
    ///
    /// # Errors
    /// As [`SomeNames::resolve`] and [`App::machine`].
    pub fn machines(self, app: &App) -> Result<Vec<Machine>, CommandError> {
        let names = self.resolve(app)?;
        names.iter().map(|name| app.machine(name)).collect()
    }
}

/// The machine `default`, for a command whose names are no plain arguments.
///
/// # Errors
/// When there is none.
pub fn default(app: &App) -> Result<MachineName, CommandError> {
    let name: MachineName = DEFAULT
        .parse()
        .map_err(|error| CommandError::failed("no name").caused_by(&error))?;
    match app.store.contains(&name) {
        true => Ok(name),
        false => Err(
            CommandError::usage("no machine is named, and none is called \"default\"")
                .hint("rmachine ls"),
        ),
    }
}

/// The names that a shell completes.
pub fn candidates(typed: &OsStr) -> Vec<CompletionCandidate> {
    // A shell that completes shows no errors: no names then.
    let names = store().and_then(|store| store.names().ok());
    let typed = typed.to_string_lossy();
    names
        .unwrap_or_default()
        .iter()
        .filter(|name| name.as_str().starts_with(&*typed))
        .map(|name| CompletionCandidate::new(name.as_str()))
        .collect()
}

/// The store, for a shell that completes.
pub fn store() -> Option<Store> {
    let process = Process::current();
    let root = match (process.var("MACHINE_STORAGE_PATH"), process.home()) {
        (Some(path), _) => path.into(),
        (None, home) => home?.join(".docker").join("machine"),
    };
    Store::open(root).ok()
}
