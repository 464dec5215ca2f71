use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::InvalidUrl;

/// Why a discovery did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] InvalidUrl),

    /// An option is none, or contradicts another.
    #[error("{0}")]
    Option(String),

    /// A discovery of this kind cannot do this.
    #[error("not implemented in this discovery service")]
    Unsupported,

    /// A discovery of this kind holds no elections.
    #[error("Leader election is only supported with consul, etcd and zookeeper discovery.")]
    NoElection,

    /// A cluster takes no more members.
    #[error("the cluster has too many members already")]
    Full,

    /// No server of the store can be reached.
    #[error("cannot reach {server}")]
    Unreachable {
        /// The last that was tried.
        server: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The store did not answer in time.
    #[error("{server} did not answer within {limit:?} ({waiting_for})")]
    Deadline {
        /// Who.
        server: String,
        /// What was asked.
        waiting_for: String,
        /// How long was waited.
        limit: Duration,
    },

    /// The store refuses.
    #[error("{server} answered {status}: {message}")]
    Refused {
        /// Who.
        server: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },

    /// What the store says makes no sense.
    #[error("{server} says what makes no sense: {detail}")]
    Malformed {
        /// Who.
        server: String,
        /// What is wrong with it.
        detail: String,
    },

    /// A file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// Certificates cannot be used.
    #[error("the certificates for the store cannot be used")]
    Certificates(#[source] rmachine_pki::PkiError),
}
