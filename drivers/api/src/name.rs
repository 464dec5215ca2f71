use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name: it becomes the host name, and a label of a DNS name holds 63 characters
/// (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;

/// The name of a machine: letters, digits, `.` and `-`, starting with a letter or a digit.
///
/// The same rule as docker-machine's, so that its stores can be read.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineName(String);

impl MachineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineName {
    type Err = InvalidMachineName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= LONGEST && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMachineName(text.to_owned()))
        }
    }
}

impl TryFrom<String> for MachineName {
    type Error = InvalidMachineName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MachineName> for String {
    fn from(name: MachineName) -> Self {
        name.0
    }
}

impl AsRef<str> for MachineName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no machine name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a machine name: up to 63 letters, digits, '-' and '.', the first a letter or a digit"
)]
pub struct InvalidMachineName(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_docker_machine_accepts() {
        for good in ["a", "node1", "Node-1", "n1.example.org", "0x"] {
            assert_eq!(good.parse::<MachineName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_store_or_a_shell() {
        let long = "a".repeat(64);
        for bad in ["", "-a", ".a", "..", "a/b", "a b", "a_b", "é", "a$b", &long] {
            assert!(bad.parse::<MachineName>().is_err(), "{bad:?}");
        }
    }
}
