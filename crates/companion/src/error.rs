use std::io;
use std::path::PathBuf;

use rmachine_engine::EngineError;

use crate::Architecture;

/// Why the companion does not run where it should.
#[derive(Debug, thiserror::Error)]
pub enum CompanionError {
    /// No program of the companion fits the engine.
    #[error("there is no static rswarm for {architecture}")]
    NoProgram {
        /// What the engine's machine is.
        architecture: Architecture,
        /// Each place that was looked at, and what is wrong with it.
        looked_at: Vec<(PathBuf, String)>,
    },

    /// The engine's machine is of a kind that no program is built for.
    #[error("rswarm is built for amd64 and arm64, and the engine's machine is {0:?}")]
    Architecture(String),

    /// A program of this computer cannot be sent to another one.
    #[error("{path} cannot be sent: it {reason}")]
    Unusable {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A program of this computer is not for the engine's machine.
    #[error("{path} is for {is_for}, and the engine's machine is {architecture}")]
    OtherArchitecture {
        /// The program.
        path: PathBuf,
        /// What it is for.
        is_for: Architecture,
        /// What the engine's machine is.
        architecture: Architecture,
    },

    /// An archive cannot be made.
    #[error("cannot make the archive of {what}")]
    Archive {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The name of an image cannot be read.
    #[error("{0:?} is no name of an image")]
    ImageName(String),

    /// The login for a registry cannot be had, from docker's own configuration.
    #[error("cannot get the login for {registry} from docker's configuration: {reason}")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        reason: String,
    },

    /// Of the engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
