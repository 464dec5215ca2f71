use std::io;
use std::path::Path;

use rmachine_iso::{BuildError, IsoError, Source};

use super::told::{described, of_file, shell_word};
use super::{CommandError, ErrorKind};

/// Another archive than the one that does not answer.
const ARCHIVE: &str = "rmachine iso build --archive URL";
/// Tells which programs run, and how they end.
const DEBUG: &str = "rmachine --debug iso build";

impl From<IsoError> for CommandError {
    fn from(error: IsoError) -> Self {
        let told = |kind| described(kind, &error);
        match &error {
            IsoError::Unknown { name, .. } => told(ErrorKind::Failed).hint(match name.as_str() {
                Source::DEFAULT_NAME => "rmachine iso pull",
                _ => "rmachine iso ls",
            }),
            IsoError::Taken { name, .. }
            | IsoError::Checksum {
                cached: Some(name), ..
            }
            | IsoError::NotAnIso {
                cached: Some(name), ..
            } => told(ErrorKind::Failed).hint(format!("rmachine iso rm {name}")),
            IsoError::Busy { holder, .. } => {
                let told = told(ErrorKind::Busy);
                match holder {
                    Some(pid) => told.hint(format!("ps -fp {pid}")).hint(format!(
                        "kill {pid} (if it hangs; what it has downloaded is kept)"
                    )),
                    None => told.hint("run the command again when the other process has ended"),
                }
            }
            IsoError::Refused { .. } | IsoError::TooLarge { .. } | IsoError::Redirect { .. } => {
                told(ErrorKind::Failed).hint("rmachine iso import FILE")
            }
            IsoError::Download { .. } => {
                told(ErrorKind::Connection).hint("rmachine iso import FILE")
            }
            IsoError::Checksum { .. } => told(ErrorKind::Failed)
                .hint("compare the checksum with the one that is published beside the ISO"),
            IsoError::NotAnIso { .. } => told(ErrorKind::Failed)
                .hint("rmachine iso pull (of the last boot2docker), or rmachine iso build"),
            IsoError::Client { .. } => {
                told(ErrorKind::Failed).hint("env | grep -i -e _proxy -e ssl_cert")
            }
            IsoError::Io { path, source, .. } => at(told(ErrorKind::Failed), path, source),
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
            BuildError::NoArchive => told(ErrorKind::CheckFailed).hint(ARCHIVE),
            BuildError::TimedOut {
                program: "apt-get", ..
            } => told(ErrorKind::TimedOut).hint(ARCHIVE),
            BuildError::TimedOut { .. } => told(ErrorKind::TimedOut)
                .hint("run the command again when this computer has less to do"),
            BuildError::Vanished { .. }
            | BuildError::Package { .. }
            | BuildError::Incomplete { .. } => told(ErrorKind::Failed).hint("rmachine iso build"),
            BuildError::Program { said, .. } if said.contains("No space left on device") => {
                of_file(told(ErrorKind::Failed), &io::ErrorKind::StorageFull.into())
            }
            BuildError::Program {
                program: "apt-get", ..
            } => told(ErrorKind::Failed).hint("apt-get update").hint(ARCHIVE),
            BuildError::Program { .. } | BuildError::Unintelligible { .. } => {
                told(ErrorKind::Failed).hint(DEBUG)
            }
            BuildError::Io { path, source, .. } => at(told(ErrorKind::Failed), path, source),
            BuildError::Template { .. } | BuildError::Cache(_) => told(ErrorKind::Failed),
        }
    }
}

/// What can be done about this file or directory.
fn at(told: CommandError, path: &Path, why: &io::Error) -> CommandError {
    match why.kind() {
        io::ErrorKind::StorageFull => of_file(told, why),
        _ => told.hint(format!("ls -ld {}", shell_word(path))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rmachine_iso::Sha256;

    use super::*;

    fn hints(error: impl Into<CommandError>) -> String {
        error.into().hints.join("; ")
    }

    #[test]
    fn what_is_wrong_with_an_iso_comes_with_a_next_step() {
        let sum = Sha256::of(b"");
        let checksum = |cached: Option<&str>| IsoError::Checksum {
            what: "x".to_owned(),
            expected: sum,
            actual: sum,
            cached: cached.map(|name| name.parse().unwrap()),
        };
        let not_an_iso = |cached: Option<&str>| IsoError::NotAnIso {
            path: "x".into(),
            reason: "it is cut off".to_owned(),
            cached: cached.map(|name| name.parse().unwrap()),
        };
        let busy = |holder| IsoError::Busy {
            what: "the ISO x".to_owned(),
            waited: Duration::ZERO,
            holder,
        };
        let io = |kind: io::ErrorKind| IsoError::Io {
            action: "read",
            path: "/my isos/x".into(),
            source: kind.into(),
        };
        for (error, expected) in [
            (checksum(Some("mine")), "rmachine iso rm mine"),
            (checksum(None), "compare the checksum"),
            (not_an_iso(Some("mine")), "rmachine iso rm mine"),
            (not_an_iso(None), "rmachine iso pull"),
            (busy(Some(7)), "ps -fp 7; kill 7 (if it hangs"),
            (busy(None), "run the command again when"),
            (io(io::ErrorKind::NotFound), "ls -ld '/my isos/x'"),
            (io(io::ErrorKind::StorageFull), "free some space"),
        ] {
            let said = hints(error);
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn a_build_that_failed_comes_with_a_next_step() {
        let failed = |program, said: &str| BuildError::Program {
            program,
            doing: "working",
            said: said.to_owned(),
        };
        let late = |program| BuildError::TimedOut {
            program,
            doing: "working",
            limit: Duration::ZERO,
        };
        for (error, expected) in [
            (failed("apt-get", "E: no"), "apt-get update; rmachine iso"),
            (failed("xorriso", "no"), "rmachine --debug iso build"),
            (
                failed("xz", "xz: x: No space left on device"),
                "free some space",
            ),
            (late("apt-get"), "rmachine iso build --archive URL"),
            (late("mksquashfs"), "run the command again when"),
        ] {
            let said = hints(error);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
