use std::collections::BTreeMap;

use rmachine_driver::{
    DriverError, DriverFlag, DriverKind, FirstContact, FlagError, FlagKind, FlagValue, FlagValues,
    MachineName,
};
use rmachine_lifecycle::{LifecycleError, Machines};

use super::group::Given;
use super::problem::{Findings, meant};
use super::tree::{Node, Place, Value};
use super::variables::Variables;

/// What an environment variable says of a switch that is off, as on the command line.
const OFF: [&str; 6] = ["0", "false", "f", "no", "n", "off"];

/// The flags of one driver, to be read for its machines.
pub(super) struct Flags<'a> {
    machines: &'a Machines,
    kind: &'a dyn DriverKind,
    variables: Variables<'a>,
}

impl<'a> Flags<'a> {
    /// `None` where there is no such driver; that is told at its place.
    pub(super) fn of(
        machines: &'a Machines,
        driver: &str,
        place: &Place,
        variables: Variables<'a>,
        findings: &mut Findings,
    ) -> Option<Self> {
        match machines.kind(driver) {
            Ok(kind) => Some(Self {
                machines,
                kind,
                variables,
            }),
            Err(LifecycleError::UnknownDriver { name, known }) => {
                let hint = meant(&name, known.iter().copied());
                findings.add(place, format!("there is no driver {name:?}{hint}"));
                None
            }
            Err(error) => {
                findings.add(place, error.to_string());
                None
            }
        }
    }

    /// The flags of a machine: those that the file gives, and those with defaults and the
    /// environment's besides. A later level comes before an earlier one.
    pub(super) fn read<'n>(
        &self,
        name: &MachineName,
        levels: impl Iterator<Item = &'n Node>,
        machine: &Place,
        findings: &mut Findings,
    ) -> Option<(Given, FlagValues)> {
        let mut given = BTreeMap::new();
        let mut nodes: BTreeMap<&str, &Node> = BTreeMap::new();
        let mut sound = true;
        for entry in levels.flat_map(Node::entries) {
            if entry.node.is_null() {
                continue;
            }
            let Some(flag) = self.flag(&entry.key) else {
                let known = self.kind.flags().iter().map(|flag| flag.name);
                let message = format!(
                    "the {} driver has no such flag{}",
                    self.kind.name(),
                    meant(entry.key.trim_start_matches('-'), known)
                );
                findings.add(&entry.key_place, message);
                sound = false;
                continue;
            };
            match value(flag, &entry.node) {
                Ok(value) => {
                    nodes.insert(flag.name, &entry.node);
                    given.insert(flag.name.to_owned(), value);
                }
                Err(expected) => {
                    let message = format!("must be {expected}, not {}", entry.node.what());
                    findings.add(&entry.node.place, message);
                    sound = false;
                }
            }
        }
        let values = self.with_environment(&given, machine, findings)?;
        let context = self
            .machines
            .store()
            .driver_context(name, FirstContact::Pin);
        match self.kind.configure(context, &values) {
            _ if !sound => None,
            Ok(_) => Some((given, values)),
            Err(error) => {
                let (place, message) = refused(&error, &nodes, machine);
                findings.add(place, message);
                None
            }
        }
    }

    fn flag(&self, name: &str) -> Option<&'static DriverFlag> {
        self.kind.flags().iter().find(|flag| flag.name == name)
    }

    fn with_environment(
        &self,
        given: &Given,
        machine: &Place,
        findings: &mut Findings,
    ) -> Option<FlagValues> {
        let mut values = FlagValues::defaults(self.kind.flags());
        for flag in self.kind.flags() {
            let from_environment = || {
                let variable = flag.env?;
                let text = (self.variables)(variable).filter(|text| !text.is_empty())?;
                Some((variable, environment_value(flag, text)))
            };
            match given.get(flag.name) {
                Some(value) => values.set(flag.name, value.clone()),
                None => match from_environment() {
                    Some((_, Some(value))) => values.set(flag.name, value),
                    Some((variable, None)) => {
                        let message = format!("the variable {variable} must be a whole number");
                        findings.add(machine, message);
                        return None;
                    }
                    None => {}
                },
            }
        }
        Some(values)
    }
}

/// The value of a flag, or what it has to be.
fn value(flag: &DriverFlag, node: &Node) -> Result<FlagValue, &'static str> {
    let text = node.text().map(|text| text.value.as_str());
    match flag.kind {
        FlagKind::Text(_) => match text {
            Some(text) => Ok(FlagValue::Text(text.to_owned())),
            None => Err("one text"),
        },
        FlagKind::Number(_) => text
            .and_then(|text| text.trim().parse().ok())
            .map(FlagValue::Number)
            .ok_or("a whole number"),
        FlagKind::Switch => text
            .and_then(|text| text.trim().parse().ok())
            .map(FlagValue::Switch)
            .ok_or("true or false"),
        FlagKind::List => match &node.value {
            Value::Text(text) => Ok(FlagValue::List(vec![text.value.clone()])),
            Value::List(items) => {
                let texts = items.iter().filter_map(Node::text);
                Ok(FlagValue::List(texts.map(|it| it.value.clone()).collect()))
            }
            _ => Err("a list of texts"),
        },
    }
}

fn environment_value(flag: &DriverFlag, text: String) -> Option<FlagValue> {
    match flag.kind {
        FlagKind::Text(_) => Some(FlagValue::Text(text)),
        FlagKind::Number(_) => text.trim().parse().ok().map(FlagValue::Number),
        FlagKind::Switch => {
            let off = OFF.contains(&text.to_lowercase().as_str());
            Some(FlagValue::Switch(!off))
        }
        FlagKind::List => Some(FlagValue::List(vec![text])),
    }
}

/// What the driver says, and of which flag: at the flag where the file gives it.
fn refused<'n>(
    error: &DriverError,
    nodes: &BTreeMap<&str, &'n Node>,
    machine: &'n Place,
) -> (&'n Place, String) {
    let DriverError::Flag(error) = error else {
        return (machine, error.to_string());
    };
    match error {
        FlagError::Missing { flag } => (machine, format!("the flag {flag} is required")),
        FlagError::Invalid { flag, reason, .. } => match nodes.get(flag) {
            // The reason may quote the value, and a variable may have put a secret there.
            Some(node) if node.text().is_some_and(|it| it.written == it.value) => (
                &node.place,
                format!("{} cannot be used: {reason}", node.what()),
            ),
            Some(node) => (&node.place, format!("{} cannot be used", node.what())),
            None => (machine, error.to_string()),
        },
    }
}
