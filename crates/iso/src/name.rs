use std::fmt;
use std::str::FromStr;

/// The longest name; with what is put around it, it is still a file name everywhere.
const LONGEST: usize = 100;

/// What a file of the cache is called in front of its ending.
pub(crate) const ENDING: &str = ".iso";

/// The name of an ISO in the cache: its file's name without `.iso`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IsoName(String);

impl IsoName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IsoName {
    type Err = InvalidIsoName;

    /// Reads a name, with or without `.iso`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stem = text.strip_suffix(ENDING).unwrap_or(text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let sound = stem.len() <= LONGEST
            && stem.starts_with(|c: char| c.is_ascii_alphanumeric())
            && stem.chars().all(allowed);
        match sound {
            true => Ok(Self(stem.to_owned())),
            false => Err(InvalidIsoName(text.to_owned())),
        }
    }
}

impl fmt::Display for IsoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that cannot be the name of an ISO.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no name for an ISO: letters, digits and . _ - + make one, a letter or digit first"
)]
pub struct InvalidIsoName(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_no_path() {
        for (text, name) in [
            ("boot2docker", Some("boot2docker")),
            ("boot2docker.iso", Some("boot2docker")),
            ("b2d-20.10+1_x", Some("b2d-20.10+1_x")),
            ("", None),
            (".iso", None),
            (".hidden", None),
            ("../x", None),
            ("a/b", None),
            ("a b", None),
        ] {
            let read = text.parse::<IsoName>().ok();
            assert_eq!(read.as_ref().map(IsoName::as_str), name, "{text:?}");
        }
        assert!("x".repeat(101).parse::<IsoName>().is_err());
    }
}
