use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{FlagError, MachineName, MachineState, NamedFile};

/// One reason why a machine cannot be made or adopted, found before anything was touched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckFailure {
    /// What was looked at: "sudo", "port 2376".
    pub subject: String,
    /// What was found, with the words of the program that said so.
    pub finding: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.finding)
    }
}

/// What a driver was asked to do, for messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Pre-create check.
    Check,
    /// Making the machine.
    Create,
    /// Power on.
    Start,
    /// Orderly power off.
    Stop,
    /// Reboot.
    Restart,
    /// Power cut.
    Kill,
    /// Taking the machine away.
    Remove,
    /// Taking, listing, restoring or removing a snapshot.
    Snapshot,
    /// Reading state or address.
    Inspect,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Check => "check",
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Remove => "remove",
            Self::Snapshot => "snapshot",
            Self::Inspect => "inspect",
        })
    }
}

/// Why a driver could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The pre-create check found these; nothing was touched.
    #[error("the pre-create check failed: {}", joined(.0))]
    Check(Vec<CheckFailure>),

    /// A flag's value cannot be used.
    #[error(transparent)]
    Flag(#[from] FlagError),

    /// The machine's record holds something that the driver cannot read.
    #[error("the record's driver settings cannot be read: {reason}")]
    Config {
        /// Which field, and what is wrong with it.
        reason: String,
    },

    /// This driver's machines cannot do that.
    #[error("the {driver} driver cannot {operation} a machine")]
    Unsupported {
        /// The driver's name.
        driver: &'static str,
        /// What was asked.
        operation: Operation,
    },

    /// The machine is not running, and what was asked needs it to.
    #[error("the machine is not running")]
    NotRunning,

    /// The machine was powered on and waited for, and does not run any more.
    #[error("the machine was waited for, and is {state} now{}", because(.why))]
    WentDown {
        /// Its state.
        state: MachineState,
        /// Why, in the words of whoever runs it.
        why: Option<String>,
        /// What to do next, where the driver knows.
        hint: Option<String>,
    },

    /// The thing behind the machine's record is no longer there.
    #[error("the machine's {kind} {id} is gone")]
    Gone {
        /// What it was: `container`, `vm`.
        kind: String,
        /// Its name or id.
        id: String,
    },

    /// A wait ended without what it waited for.
    #[error("waited {} s for {waiting_for}; last seen: {last}", .limit.as_secs())]
    Timeout {
        /// What the driver waited for.
        waiting_for: String,
        /// For how long.
        limit: Duration,
        /// What the last look showed.
        last: String,
    },

    /// The program or service behind the driver failed.
    #[error("cannot {operation}: {message}")]
    Backend {
        /// What was asked.
        operation: Operation,
        /// What failed, with the words of whoever said so.
        message: String,
        /// What to do next, where the driver knows.
        hint: Option<String>,
        /// The cause, where it is an error of its own.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },

    /// The record names a file outside the store that the user has not approved.
    #[error(
        "the record of machine {machine} names a file outside the store that you have not approved: \
         {} is {:?}",
        .file.field,
        .file.path
    )]
    UnapprovedFile {
        /// The machine.
        machine: MachineName,
        /// The file, and the field that names it.
        file: NamedFile,
    },

    /// A file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn because(why: &Option<String>) -> String {
    why.as_ref()
        .map_or_else(String::new, |why| format!(": {why}"))
}

fn joined(failures: &[CheckFailure]) -> String {
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
