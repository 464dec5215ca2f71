use std::path::PathBuf;
use std::time::Duration;

use crate::{IsoError, Sha256};

/// Why an ISO could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// This computer cannot build one.
    #[error("an ISO is built by the programs of Debian, and {} not here", missing_text(.programs))]
    Missing {
        /// The programs that are not there.
        programs: Vec<&'static str>,
        /// The packages that have them.
        packages: Vec<&'static str>,
    },

    /// Nobody says where Debian's packages are.
    #[error("this computer's apt names no archive of Debian")]
    NoArchive,

    /// A program failed.
    #[error("{program} failed while {doing}: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it was to do: "fetching packages".
        doing: &'static str,
        /// Its last words.
        said: String,
    },

    /// A program did not come to its end.
    #[error("{program} was still {doing} after {} s", .limit.as_secs())]
    TimedOut {
        /// Which.
        program: &'static str,
        /// What it was to do.
        doing: &'static str,
        /// How long it had.
        limit: Duration,
    },

    /// A program's words could not be understood.
    #[error("{program} said what cannot be understood: {said}")]
    Unintelligible {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },

    /// The archive has a package no more.
    #[error("the archive does not have {package} any more, and neither has the cache")]
    Vanished {
        /// The package, as name=version.
        package: String,
    },

    /// A package is not the one that the list of packages, or the archive's, means.
    #[error("{package} has the wrong checksum: {actual} in place of {expected}")]
    Package {
        /// The package, as name=version.
        package: String,
        /// The checksum in the list.
        expected: Sha256,
        /// Its checksum.
        actual: Sha256,
    },

    /// The packages do not hold what makes an image.
    #[error("the packages have no {what}")]
    Incomplete {
        /// What is missing.
        what: String,
    },

    /// A template is wrong.
    #[error("the template of {name} cannot be rendered")]
    Template {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<minijinja::Error>,
    },

    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried: "read", "write", "remove".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },

    /// The cache would not take the ISO.
    #[error(transparent)]
    Cache(#[from] IsoError),
}

impl BuildError {
    /// For `map_err` on an operation on a file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

fn missing_text(programs: &[&str]) -> String {
    let verb = if programs.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", programs.join(", "))
}
