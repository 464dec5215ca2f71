use rmachine_iso::{BuildError, IsoError, Source};

use super::told::described;
use super::{CommandError, ErrorKind};

impl From<IsoError> for CommandError {
    fn from(error: IsoError) -> Self {
        let told = |kind| described(kind, &error);
        match &error {
            IsoError::Unknown { name, .. } => told(ErrorKind::Failed).hint(match name.as_str() {
                Source::DEFAULT_NAME => "rmachine iso pull",
                _ => "rmachine iso ls",
            }),
            IsoError::Taken { name, .. } => {
                told(ErrorKind::Failed).hint(format!("rmachine iso rm {name}"))
            }
            IsoError::Busy { .. } => told(ErrorKind::Busy),
            IsoError::Refused { .. } => told(ErrorKind::Failed).hint("rmachine iso import FILE"),
            IsoError::Download { .. } => {
                told(ErrorKind::Connection).hint("rmachine iso import FILE")
            }
            IsoError::Checksum { .. }
            | IsoError::NotAnIso { .. }
            | IsoError::Client { .. }
            | IsoError::Io { .. } => told(ErrorKind::Failed),
        }
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let error = match error {
            BuildError::Cache(error) => return error.into(),
            error => error,
        };
        let told = |kind| described(kind, &error);
        match &error {
            BuildError::Missing { packages, .. } => told(ErrorKind::CheckFailed)
                .hint(format!("apt-get install -y {}", packages.join(" "))),
            BuildError::NoArchive => {
                told(ErrorKind::CheckFailed).hint("rmachine iso build --archive URL")
            }
            BuildError::TimedOut { .. } => told(ErrorKind::TimedOut),
            BuildError::Vanished { .. } | BuildError::Package { .. } => {
                told(ErrorKind::Failed).hint("rmachine iso build")
            }
            BuildError::Program { .. }
            | BuildError::Unintelligible { .. }
            | BuildError::Incomplete { .. }
            | BuildError::Template { .. }
            | BuildError::Io { .. }
            | BuildError::Cache(_) => told(ErrorKind::Failed),
        }
    }
}
