use std::ffi::OsStr;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use rmachine_cluster::{Cluster, Problem};
use rmachine_driver::MachineName;

use super::super::App;
use crate::error::CommandError;

/// The file that is meant when none is named.
const DEFAULT: &str = "cluster.yml";

/// Which file says what the cluster is.
#[derive(clap::Args, Debug, Default)]
pub struct FileArg {
    /// The cluster's file [default: cluster.yml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// The cluster's file, named by an option
    #[arg(long = "file", value_name = "FILE", conflicts_with = "file",
          value_hint = clap::ValueHint::FilePath)]
    option: Option<PathBuf>,
}

/// A cluster's file that was read.
pub struct ClusterFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub cluster: Cluster,
}

impl FileArg {
    /// This file.
    pub fn at(path: PathBuf) -> Self {
        Self {
            file: Some(path),
            option: None,
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, or with all that is wrong with it.
    pub fn read(self, app: &App) -> Result<ClusterFile, CommandError> {
        let path = self.path();
        let text = text(&path)?;
        let variables = |name: &str| variable(app, name);
        let cluster = Cluster::read(&text, &variables, &app.machines)
            .map_err(|problems| unusable(&path, &problems))?;
        Ok(ClusterFile {
            path: std::path::absolute(&path).unwrap_or(path),
            cluster,
        })
    }

    /// Reads the cluster's name alone.
    ///
    /// # Errors
    /// When there is no file, or no name in it.
    pub fn read_name(self, app: &App) -> Result<MachineName, CommandError> {
        let path = self.path();
        let text = text(&path)?;
        let variables = |name: &str| variable(app, name);
        Cluster::read_name(&text, &variables).map_err(|problems| unusable(&path, &problems))
    }

    fn path(&self) -> PathBuf {
        let named = self.file.as_ref().or(self.option.as_ref());
        named.cloned().unwrap_or_else(|| PathBuf::from(DEFAULT))
    }
}

fn text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| {
        let told = CommandError::usage(format!("cannot read {}", path.display())).caused_by(&error);
        match error.kind() {
            Io::NotFound => told.hint("rmachine up FILE"),
            _ => told,
        }
    })
}

/// A variable as it is, empty ones too: the file tells them from those that are not set.
fn variable(app: &App, name: &str) -> Option<String> {
    let value = app.process.environment().get(OsStr::new(name))?;
    value.to_str().map(str::to_owned)
}

/// Each finding is a cause, with its place as editors and terminals know it.
fn unusable(path: &Path, problems: &[Problem]) -> CommandError {
    let mut told = CommandError::usage(format!("{} cannot be used", path.display()));
    told.causes = problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()))
        .collect();
    told
}
