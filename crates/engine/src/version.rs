use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A version of the engine's API, as `1.41`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest that is asked for: that of engine 29.
    pub const NEWEST: Self = Self {
        major: 1,
        minor: 53,
    };

    /// The oldest that is asked for, and the oldest that engines from 25.0 on accept.
    pub const OLDEST: Self = Self {
        major: 1,
        minor: 24,
    };

    /// The version to speak with an engine whose newest this is: the newest that both have.
    pub(crate) fn agreed(self) -> Option<Self> {
        (self >= Self::OLDEST).then(|| self.min(Self::NEWEST))
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (major, minor) = text.split_once('.')?;
            // Rust's numbers may have a plus before them; versions have none.
            if text.contains('+') {
                return None;
            }
            Some(Self {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        };
        read().ok_or_else(|| InvalidApiVersion(text.to_owned()))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The versions of the API that one side speaks, from the oldest to the newest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApiWindow {
    /// The oldest.
    pub oldest: ApiVersion,
    /// The newest.
    pub newest: ApiVersion,
}

impl ApiWindow {
    /// The version in here that is nearest to the one wanted.
    pub fn clamp(&self, wanted: ApiVersion) -> ApiVersion {
        wanted.min(self.newest).max(self.oldest)
    }
}

/// The text is no version of the API.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not an API version, such as 1.41")]
pub struct InvalidApiVersion(pub String);

/// What an engine says of itself at every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ping {
    /// The newest API version that it speaks; engines before 1.13 do not tell.
    pub api_version: Option<ApiVersion>,
    /// The operating system of its containers.
    pub os: Option<String>,
}

/// `GET /version`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct VersionInfo {
    /// The engine's version, as `20.10.24`.
    pub version: String,
    /// The newest API version that it speaks.
    pub api_version: String,
    /// The oldest API version that it accepts.
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: Option<String>,
    /// `linux` or `windows`.
    #[serde(default)]
    pub os: String,
    /// In Go's words: `amd64`, `arm64`.
    #[serde(default)]
    pub arch: String,
}

impl VersionInfo {
    /// The versions of the API that it tells. Engines before 1.13 have no oldest one to tell.
    ///
    /// # Errors
    /// When one is none.
    pub fn window(&self) -> Result<ApiWindow, InvalidApiVersion> {
        let newest = self.api_version.parse()?;
        let oldest = match self.min_api_version.as_deref() {
            None | Some("") => newest,
            Some(oldest) => oldest.parse()?,
        };
        Ok(ApiWindow { oldest, newest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_wanted_version_within_the_window() {
        let version = |text: &str| text.parse::<ApiVersion>().unwrap();
        let window = ApiWindow {
            oldest: version("1.24"),
            newest: version("1.41"),
        };
        for (wanted, spoken) in [("1.12", "1.24"), ("1.40", "1.40"), ("1.53", "1.41")] {
            assert_eq!(window.clamp(version(wanted)), version(spoken), "{wanted}");
        }
    }

    #[test]
    fn reads_the_window_that_an_engine_tells() {
        for (oldest, newest, window) in [
            (Some("1.12"), "1.41", Ok(("1.12", "1.41"))),
            (None, "1.24", Ok(("1.24", "1.24"))),
            (Some(""), "1.24", Ok(("1.24", "1.24"))),
            (Some("old"), "1.41", Err("old")),
            (None, "", Err("")),
        ] {
            let told = VersionInfo {
                version: "20.10.24".to_owned(),
                api_version: newest.to_owned(),
                min_api_version: oldest.map(str::to_owned),
                os: String::new(),
                arch: String::new(),
            };
            let read = told.window();
            let read = read.map(|read| (read.oldest.to_string(), read.newest.to_string()));
            let expected = window.map(|(oldest, newest)| (oldest.to_owned(), newest.to_owned()));
            let expected = expected.map_err(|bad: &str| InvalidApiVersion(bad.to_owned()));
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn agrees_on_the_newest_that_both_have() {
        for (theirs, agreed) in [
            ("1.23", None),
            ("1.24", Some("1.24")),
            ("1.40", Some("1.40")),
            ("1.53", Some("1.53")),
            ("1.60", Some("1.53")),
            ("2.0", Some("1.53")),
        ] {
            let theirs: ApiVersion = theirs.parse().unwrap();
            let both = theirs.agreed().map(|version| version.to_string());
            assert_eq!(both.as_deref(), agreed, "{theirs}");
        }
    }

    #[test]
    fn orders_versions_by_number() {
        let version = |text: &str| text.parse::<ApiVersion>().unwrap();
        assert!(version("1.9") < version("1.41"));
        assert_eq!(version("1.41").to_string(), "1.41");
        for bad in ["", "1", "1.", "v1.2", "1.2.3"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}
