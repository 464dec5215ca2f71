use std::path::PathBuf;
use std::time::Duration;

use rmachine_driver::MachineName;
use rmachine_lifecycle::LifecycleError;
use rmachine_machine::StoreError;

/// Why a cluster is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another process works on the cluster.
    #[error("the cluster {name} is in use by {}, waited {} s", holder_text(.holder), .waited.as_secs())]
    Busy {
        /// The cluster.
        name: MachineName,
        /// For how long its lock was waited for.
        waited: Duration,
        /// The process that holds it, if it said so.
        holder: Option<u32>,
    },

    /// The cluster is there, so it is not one that may be taken down at the end of a command.
    #[error("the cluster {name} is there already")]
    Present {
        /// The name.
        name: MachineName,
    },

    /// A cluster's journal cannot be read.
    #[error("the journal of cluster {name} cannot be read: {}: {reason}", .path.display())]
    Corrupt {
        /// The cluster.
        name: MachineName,
        /// The journal.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },

    /// A cluster's journal cannot be put in words, for a path that is not UTF-8.
    #[error("the journal of cluster {name} cannot be written")]
    Unwritable {
        /// The cluster.
        name: MachineName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },

    /// A machine is as the file does not want it, and only a new one can be.
    #[error("only a new machine can have {}", .what.join(", "))]
    NeedsNew {
        /// The machine.
        name: MachineName,
        /// What the file wants.
        what: Vec<String>,
    },

    /// A machine cannot be worked on.
    #[error("{reason}")]
    Refused {
        /// The machine.
        name: MachineName,
        /// Why.
        reason: String,
    },

    /// Of a machine.
    #[error(transparent)]
    Machine(Box<LifecycleError>),

    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried: "read", "remove".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<LifecycleError> for ClusterError {
    fn from(error: LifecycleError) -> Self {
        Self::Machine(Box::new(error))
    }
}

fn holder_text(holder: &Option<u32>) -> String {
    match holder {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
