use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hide_url_credentials;

/// A driver's flag, as data: the command line is made from it, and `create -d X --help` lists it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DriverFlag {
    /// The long name without dashes, starting with the driver's name: `generic-ssh-port`.
    pub name: &'static str,
    /// The environment variable that gives the value when the flag is absent.
    pub env: Option<&'static str>,
    /// What the flag takes, with its default.
    pub kind: FlagKind,
    /// One line for `--help`, without a full stop.
    pub help: &'static str,
}

/// What a flag takes, with the default that `--help` shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlagKind {
    /// Text; an empty default means that there is none.
    Text(&'static str),
    /// A whole number.
    Number(i64),
    /// No value: present or absent.
    Switch,
    /// Text, given any number of times.
    List,
}

/// A flag's value, after the command line and the environment were read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FlagValue {
    /// Of a [`FlagKind::Text`].
    Text(String),
    /// Of a [`FlagKind::Number`].
    Number(i64),
    /// Of a [`FlagKind::Switch`].
    Switch(bool),
    /// Of a [`FlagKind::List`].
    List(Vec<String>),
}

/// The values of a driver's flags, defaults included. Shown as they are typed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FlagValues(BTreeMap<String, FlagValue>);

impl FlagValues {
    /// The defaults of these flags.
    pub fn defaults(flags: &[DriverFlag]) -> Self {
        let value = |flag: &DriverFlag| match flag.kind {
            FlagKind::Text(text) => FlagValue::Text(text.to_owned()),
            FlagKind::Number(number) => FlagValue::Number(number),
            FlagKind::Switch => FlagValue::Switch(false),
            FlagKind::List => FlagValue::List(Vec::new()),
        };
        Self(
            flags
                .iter()
                .map(|flag| (flag.name.to_owned(), value(flag)))
                .collect(),
        )
    }

    /// Those that have no value among the others, or another one.
    #[must_use]
    pub fn besides(&self, others: &Self) -> Self {
        let unlike = self
            .0
            .iter()
            .filter(|(name, value)| others.0.get(*name) != Some(value));
        let unlike = unlike.map(|(name, value)| (name.clone(), value.clone()));
        Self(unlike.collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words of a command line that give these values.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, value) in &self.0 {
            let flag = format!("--{name}");
            match value {
                FlagValue::Text(text) => words.extend([flag, text.clone()]),
                FlagValue::Number(number) => words.extend([flag, number.to_string()]),
                FlagValue::Switch(true) => words.push(flag),
                FlagValue::Switch(false) => {}
                FlagValue::List(list) => {
                    words.extend(list.iter().flat_map(|text| [flag.clone(), text.clone()]));
                }
            }
        }
        words
    }

    /// Sets a flag's value.
    pub fn set(&mut self, name: impl Into<String>, value: FlagValue) {
        self.0.insert(name.into(), value);
    }

    /// The text of a flag; `None` where it is absent or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(FlagValue::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The text of a flag that must be given.
    ///
    /// # Errors
    /// [`FlagError::Missing`] where it is absent or empty.
    pub fn required(&self, name: &'static str) -> Result<&str, FlagError> {
        self.text(name).ok_or(FlagError::Missing { flag: name })
    }

    /// The number of a flag, narrowed to the type that the driver needs.
    ///
    /// # Errors
    /// [`FlagError::Invalid`] where the number does not fit; [`FlagError::Missing`] where there is
    /// none.
    pub fn number<N: TryFrom<i64>>(&self, name: &'static str) -> Result<N, FlagError> {
        let Some(FlagValue::Number(number)) = self.0.get(name) else {
            return Err(FlagError::Missing { flag: name });
        };
        N::try_from(*number).map_err(|_| FlagError::Invalid {
            flag: name,
            value: number.to_string(),
            reason: "the number is out of range".to_owned(),
        })
    }

    /// Whether a switch is on.
    pub fn switch(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(FlagValue::Switch(true)))
    }

    /// The values of a flag that can be given several times.
    pub fn list(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(FlagValue::List(list)) => list,
            _ => &[],
        }
    }
}

impl fmt::Display for FlagValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

/// A flag's value cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FlagError {
    /// A flag that the driver needs was not given.
    #[error("--{flag} is required")]
    Missing {
        /// The flag's name without dashes.
        flag: &'static str,
    },
    /// A flag has a value that the driver does not take.
    #[error("--{flag}: {:?}: {}", hide_url_credentials(.value), hide_url_credentials(.reason))]
    Invalid {
        /// The flag's name without dashes.
        flag: &'static str,
        /// What was given.
        value: String,
        /// Why it cannot be taken, and what can.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[DriverFlag] = &[
        DriverFlag {
            name: "x-memory",
            env: None,
            kind: FlagKind::Number(1024),
            help: "",
        },
        DriverFlag {
            name: "x-nic",
            env: None,
            kind: FlagKind::Text("virtio"),
            help: "",
        },
        DriverFlag {
            name: "x-port",
            env: None,
            kind: FlagKind::List,
            help: "",
        },
        DriverFlag {
            name: "x-quiet",
            env: None,
            kind: FlagKind::Switch,
            help: "",
        },
    ];

    #[test]
    fn what_differs_is_found_and_shown_as_it_is_typed() {
        let defaults = FlagValues::defaults(FLAGS);
        assert!(defaults.besides(&defaults).is_empty());
        let mut given = defaults.clone();
        given.set("x-memory", FlagValue::Number(2048));
        given.set("x-quiet", FlagValue::Switch(true));
        given.set("x-port", FlagValue::List(vec!["1".into(), "2".into()]));
        let given = given.besides(&defaults);
        assert_eq!(
            given.to_string(),
            "--x-memory 2048 --x-port 1 --x-port 2 --x-quiet"
        );
        let mut other = given.clone();
        other.set("x-memory", FlagValue::Number(512));
        assert_eq!(other.besides(&given).to_string(), "--x-memory 512");

        let kept = serde_json::to_value(&given).unwrap();
        let expected = serde_json::json!({"x-memory": 2048, "x-port": ["1", "2"], "x-quiet": true});
        assert_eq!(kept, expected);
        assert_eq!(serde_json::from_value::<FlagValues>(kept).unwrap(), given);
    }
}
