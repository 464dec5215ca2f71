use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a machine, in docker-machine's words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum MachineState {
    /// The driver cannot tell, or the machine has no power state.
    #[serde(rename = "")]
    None,
    /// Powered on, or reachable where power cannot be read.
    Running,
    /// Held in memory.
    Paused,
    /// Held on disk.
    Saved,
    /// Powered off, or unreachable where power cannot be read.
    Stopped,
    /// On its way down.
    Stopping,
    /// On its way up.
    Starting,
    /// The driver's answer was an error.
    Error,
    /// The driver did not answer in time.
    Timeout,
}

const ALL: [MachineState; 9] = [
    MachineState::None,
    MachineState::Running,
    MachineState::Paused,
    MachineState::Saved,
    MachineState::Stopped,
    MachineState::Stopping,
    MachineState::Starting,
    MachineState::Error,
    MachineState::Timeout,
];

impl MachineState {
    /// Whether a machine in this state neither runs nor comes up by itself.
    pub fn is_down(self) -> bool {
        matches!(
            self,
            Self::Paused | Self::Saved | Self::Stopped | Self::Error
        )
    }

    /// The word that `status` and `ls` print; empty for [`MachineState::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Saved => "Saved",
            Self::Stopped => "Stopped",
            Self::Stopping => "Stopping",
            Self::Starting => "Starting",
            Self::Error => "Error",
            Self::Timeout => "Timeout",
        }
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for MachineState {
    type Err = UnknownMachineState;

    /// Reads a state's word, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ALL.into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownMachineState(text.to_owned()))
    }
}

/// The text names no machine state.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a machine state: Running, Paused, Saved, Stopped, Stopping, Starting, Error or Timeout"
)]
pub struct UnknownMachineState(pub String);
