use std::path::PathBuf;
use std::time::Duration;

use rmachine_driver::MachineName;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No machine has this name.
    #[error("there is no machine {name}")]
    NotFound {
        /// The name.
        name: MachineName,
    },

    /// A machine has this name already.
    #[error("the machine {name} exists already")]
    Exists {
        /// The name.
        name: MachineName,
    },

    /// A machine's record cannot be read.
    #[error("the record of machine {name} cannot be read: {}: {reason}", .path.display())]
    Corrupt {
        /// The machine.
        name: MachineName,
        /// The record.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },

    /// A machine's record was written by a newer program.
    #[error("the record of machine {name} has version {version}, and only {known} is known: {}", .path.display())]
    FromTheFuture {
        /// The machine.
        name: MachineName,
        /// The record.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The newest version that can be read.
        known: u64,
    },

    /// A machine's record cannot be put in words, for a path that is not UTF-8.
    #[error("the record of machine {name} cannot be written")]
    Unwritable {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },

    /// Another process works on the machine.
    #[error("the machine {name} is in use by {}, waited {} s", holder_text(.holder), .waited.as_secs())]
    Busy {
        /// The machine.
        name: MachineName,
        /// For how long its lock was waited for.
        waited: Duration,
        /// The process that holds it, if it said so.
        holder: Option<u32>,
    },

    /// Another process works on the shared certificates.
    #[error("the certificates are in use by {}, waited {} s", holder_text(.holder), .waited.as_secs())]
    CertificatesBusy {
        /// For how long their lock was waited for.
        waited: Duration,
        /// The process that holds it, if it said so.
        holder: Option<u32>,
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
}

impl StoreError {
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

fn holder_text(holder: &Option<u32>) -> String {
    match holder {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
