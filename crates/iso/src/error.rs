use std::path::PathBuf;
use std::time::Duration;

use crate::{IsoName, Sha256};

/// Why there is no ISO.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// The cache has no ISO of this name.
    #[error("there is no ISO {name} in {}", .cache.display())]
    Unknown {
        /// The name.
        name: IsoName,
        /// The cache's directory.
        cache: PathBuf,
    },

    /// The name is taken by an ISO from elsewhere.
    #[error("there is an ISO {name} already, {from}")]
    Taken {
        /// The name.
        name: IsoName,
        /// Where that one is from, as it stands in a sentence: "from https://…".
        from: String,
    },

    /// Another process is at work on the same file, and makes no headway.
    #[error("{what} is in use by {}, which made no headway for {} s", holder_text(.holder), .waited.as_secs())]
    Busy {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// The process that holds it, if it said so.
        holder: Option<u32>,
    },

    /// A server does not give the ISO.
    #[error("{url} cannot be downloaded: the server says {status}")]
    Refused {
        /// From where.
        url: String,
        /// The server's answer.
        status: reqwest::StatusCode,
    },

    /// The line broke off again and again, and nothing more came.
    #[error(
        "{url} cannot be downloaded: {attempts} attempts in a row brought nothing, {got} bytes are kept"
    )]
    Download {
        /// From where.
        url: String,
        /// How often it was tried in vain.
        attempts: u32,
        /// How much has come before.
        got: u64,
        /// What the last attempt met.
        #[source]
        source: Broken,
    },

    /// The server sends more than an ISO may have.
    #[error("{url} is larger than {limit} bytes, the limit for an ISO")]
    TooLarge {
        /// From where, without credentials.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },

    /// The server redirects without end, or from https to http.
    #[error("{url} cannot be downloaded")]
    Redirect {
        /// From where, without credentials.
        url: String,
        /// Why the redirect was not followed.
        #[source]
        source: reqwest::Error,
    },

    /// The file is not the one that was meant.
    #[error("{what} has the wrong checksum: {actual} in place of {expected}")]
    Checksum {
        /// The file, or where it came from.
        what: String,
        /// What was expected.
        expected: Sha256,
        /// What it is.
        actual: Sha256,
        /// Its name, where it is in the cache.
        cached: Option<IsoName>,
    },

    /// The file is no ISO, or only a part of one.
    #[error("{} is no bootable ISO: {reason}", .path.display())]
    NotAnIso {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Its name, where it is in the cache.
        cached: Option<IsoName>,
    },

    /// The client that downloads could not be set up.
    #[error("downloads are not possible: the settings of TLS or of the proxies cannot be used")]
    Client {
        /// Why.
        #[source]
        source: reqwest::Error,
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

/// Why an attempt to download came to an end before its time.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// The server.
    #[error("the server says {0}")]
    Status(reqwest::StatusCode),
    /// What came does not fit what was announced.
    #[error("{0}")]
    Answer(String),
}

impl IsoError {
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
    holder.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}
