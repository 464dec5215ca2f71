//! `--filter`: which machines are shown. Values of one key are alternatives; different keys must
//! all match.

use std::str::FromStr;

use regex::Regex;
use rmachine_driver::{MachineState, UnknownMachineState};

/// One `KEY=VALUE`.
#[derive(Clone, Debug)]
pub enum Filter {
    /// The driver's name.
    Driver(String),
    /// A label of the engine, with or without its value.
    Label(String, Option<String>),
    /// A pattern that the machine's name must contain.
    Name(Regex),
    /// The state.
    State(MachineState),
    /// The name of the cluster's master.
    Swarm(String),
}

/// What is known of a machine before anybody is asked.
pub struct Known<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its driver's name.
    pub driver: &'a str,
    /// The labels of its engine.
    pub labels: &'a [String],
    /// The master of its cluster.
    pub master: Option<&'a str>,
}

/// The text is no filter.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvalidFilter {
    /// There is no `=`.
    #[error("it is not of the form KEY=VALUE")]
    Form,
    /// The key is not one of ours.
    #[error("the key {0:?} is none of driver, label, name, state, swarm")]
    Key(String),
    /// The name's pattern cannot be parsed.
    #[error(transparent)]
    Pattern(#[from] regex::Error),
    /// There is no such state.
    #[error(transparent)]
    State(#[from] UnknownMachineState),
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or(InvalidFilter::Form)?;
        let owned = value.to_owned();
        Ok(match key.trim().to_ascii_lowercase().as_str() {
            "driver" => Self::Driver(owned),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(owned, None),
            },
            "name" => Self::Name(Regex::new(value)?),
            "state" => Self::State(value.parse()?),
            "swarm" => Self::Swarm(owned),
            _ => return Err(InvalidFilter::Key(key.to_owned())),
        })
    }
}

/// Whether a machine passes every filter but those for the state, which is not known yet.
pub fn passes(filters: &[Filter], known: &Known<'_>) -> bool {
    every_key(filters, |filter| match filter {
        Filter::Driver(driver) => Some(known.driver.eq_ignore_ascii_case(driver)),
        Filter::Label(label, value) => Some(known.labels.iter().any(|own| {
            let (own, own_value) = own.split_once('=').unwrap_or((own, ""));
            let same_value = |value: &String| own_value.eq_ignore_ascii_case(value);
            own == label && value.as_ref().is_none_or(same_value)
        })),
        Filter::Name(pattern) => Some(pattern.is_match(known.name)),
        Filter::Swarm(master) => Some(known.master.is_some_and(|m| m.eq_ignore_ascii_case(master))),
        Filter::State(_) => None,
    })
}

/// Whether a machine in this state passes the filters for the state.
pub fn passes_in_state(filters: &[Filter], state: MachineState) -> bool {
    every_key(filters, |filter| match filter {
        Filter::State(wanted) => Some(*wanted == state),
        _ => None,
    })
}

/// Whether any filter needs the state.
pub fn ask_for_state(filters: &[Filter]) -> bool {
    filters
        .iter()
        .any(|filter| matches!(filter, Filter::State(_)))
}

/// Of each key that has a say, at least one filter matches.
fn every_key(filters: &[Filter], says: impl Fn(&Filter) -> Option<bool>) -> bool {
    filters.iter().all(|filter| {
        let same_key =
            |other: &&Filter| std::mem::discriminant(*other) == std::mem::discriminant(filter);
        let mut answers = filters.iter().filter(same_key).filter_map(&says).peekable();
        answers.peek().is_none() || answers.any(|matches| matches)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filters: &[&str], state: MachineState) -> bool {
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        let labels = ["app=web".to_owned(), "bare".to_owned()];
        let known = Known {
            name: "node-1",
            driver: "generic",
            labels: &labels,
            master: Some("m0"),
        };
        passes(&filters, &known) && passes_in_state(&filters, state)
    }

    #[test]
    fn the_same_key_is_or_and_different_keys_are_and() {
        for (filters, expected) in [
            (&[][..], true),
            (&["driver=generic"], true),
            (&["driver=none"], false),
            (&["driver=none", "driver=generic"], true),
            (&["driver=generic", "name=^node"], true),
            (&["driver=generic", "name=^x"], false),
            (&["DRIVER=Generic"], true),
            (&["name=de-"], true),
            (&["state=running"], true),
            (&["state=Stopped"], false),
            (&["state=stopped", "State=RUNNING"], true),
            (&["state=running", "driver=none"], false),
            (&["label=app=web"], true),
            (&["label=app=WEB"], true),
            (&["label=app=db"], false),
            (&["label=app"], true),
            (&["label=bare"], true),
            (&["label=bare="], true),
            (&["label=nosuch"], false),
            (&["swarm=m0"], true),
            (&["swarm=m1"], false),
        ] {
            assert_eq!(
                shown(filters, MachineState::Running),
                expected,
                "{filters:?}"
            );
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in ["driver", "", "color=red", "name=(", "state=happy"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
