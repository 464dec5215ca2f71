use std::fmt;
use std::str::FromStr;

/// The longest name; with what drivers put around it, it is still a file name everywhere.
const LONGEST: usize = 100;

/// The name of a snapshot to be: letters, digits, `.`, `_` and `-`, starting with a letter or a
/// digit.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotName(String);

impl SnapshotName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = InvalidSnapshotName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= LONGEST && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSnapshotName(text.to_owned()))
        }
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no name for a snapshot.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a snapshot's name: up to 100 letters, digits, '.', '_' and '-', the first a letter or a digit"
)]
pub struct InvalidSnapshotName(pub String);

/// A state that a machine can be put back to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// Its name, which another program may have chosen.
    pub name: String,
    /// Whether the machine goes on from this one: the last that was taken or restored.
    pub current: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_an_option_nor_a_path() {
        for good in ["clean", "2026-11-21", "v1.2_a", "0"] {
            assert_eq!(good.parse::<SnapshotName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(101);
        for bad in ["", "-a", "--live", ".", "a/b", "a b", "é", "a\"b", &long] {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad:?}");
        }
    }
}
