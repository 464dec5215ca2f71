use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the engine, ordered by its numbers: `20.10.24+dfsg1`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineVersion {
    numbers: [u32; 3],
    text: String,
}

impl EngineVersion {
    /// The first number.
    pub fn major(&self) -> u32 {
        self.numbers[0]
    }

    /// Whether this version is at least `major.minor`.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.numbers[0], self.numbers[1]) >= (major, minor)
    }
}

impl FromStr for EngineVersion {
    type Err = InvalidEngineVersion;

    /// Reads a version, or the whole line that `dockerd --version` prints.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidEngineVersion(text.to_owned());
        let line = text.trim();
        let word = match line.split_once("version ") {
            Some((_, rest)) => rest.split([',', ' ']).next().unwrap_or_default(),
            None => line,
        };
        let numeric = word
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()
            .unwrap_or_default();
        let mut numbers = [0; 3];
        let mut seen = 0;
        for (slot, part) in numbers.iter_mut().zip(numeric.split('.')) {
            *slot = part.parse().map_err(|_| invalid())?;
            seen += 1;
        }
        if seen < 2 {
            return Err(invalid());
        }
        Ok(Self {
            numbers,
            text: word.to_owned(),
        })
    }
}

impl TryFrom<String> for EngineVersion {
    type Error = InvalidEngineVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EngineVersion> for String {
    fn from(version: EngineVersion) -> Self {
        version.text
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The text is no version of an engine.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the version of an engine")]
pub struct InvalidEngineVersion(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_dockerd_prints() {
        for (line, shown, numbers) in [
            (
                "Docker version 20.10.24+dfsg1, build 297e128",
                "20.10.24+dfsg1",
                [20, 10, 24],
            ),
            (
                "Docker version 26.1.5+dfsg1, build 411e817\n",
                "26.1.5+dfsg1",
                [26, 1, 5],
            ),
            (
                "Docker version 1.13.1, build 7d71120/1.13.1",
                "1.13.1",
                [1, 13, 1],
            ),
            (
                "Docker version 29.0.0-rc.1, build x",
                "29.0.0-rc.1",
                [29, 0, 0],
            ),
            ("27.5", "27.5", [27, 5, 0]),
        ] {
            let version: EngineVersion = line.parse().unwrap();
            assert_eq!(version.to_string(), shown);
            assert_eq!(version.numbers, numbers);
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in ["", "dev", "Docker version , build", "20", "segfault"] {
            assert!(bad.parse::<EngineVersion>().is_err(), "{bad:?}");
        }
    }
}
