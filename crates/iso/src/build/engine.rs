use std::fmt;
use std::str::FromStr;

/// The engine that an image gets, and with it the release of Debian that has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BuildEngine {
    /// The last line that takes `--cluster-store`.
    V20_10,
    /// A newer one, for clusters without a store.
    V26,
}

impl BuildEngine {
    /// Every engine, as it is typed.
    pub const NAMES: [&'static str; 2] = ["20.10", "26"];

    /// The release of Debian.
    pub(crate) fn suite(self) -> &'static str {
        match self {
            Self::V20_10 => "bookworm",
            Self::V26 => "trixie",
        }
    }

    /// The packages of the engine and of its client.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::V20_10 => &["docker.io"],
            Self::V26 => &["docker.io", "docker-cli"],
        }
    }
}

impl fmt::Display for BuildEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V20_10 => "20.10",
            Self::V26 => "26",
        })
    }
}

impl FromStr for BuildEngine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "20.10" => Ok(Self::V20_10),
            "26" => Ok(Self::V26),
            _ => Err(UnknownEngine(text.to_owned())),
        }
    }
}

/// An engine of which no image is made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no image is made with the engine {0:?}: there are 20.10 and 26")]
pub struct UnknownEngine(String);
