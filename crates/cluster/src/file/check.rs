//! Holds a document against the shape of a cluster file, and brings every value into the form of
//! its kind.

use rmachine_driver::MachineName;

use super::problem::{Findings, meant};
use super::shape::{Kind, Shape};
use super::tree::{Node, Text, Value};

/// The check of one document.
pub(crate) struct Check<'a> {
    /// The document's text, for what is read letter by letter.
    pub(crate) text: &'a str,
    pub(crate) findings: &'a mut Findings,
}

impl Check<'_> {
    /// After it, and with nothing found, the node is what the kind says, or null.
    pub(crate) fn node(&mut self, node: &mut Node, kind: Kind) {
        if node.value == Value::Null {
            return;
        }
        match kind {
            Kind::Text => self.scalar(node, "text"),
            Kind::Name => {
                self.scalar(node, "a name");
                self.parsed(node, |text| {
                    text.parse::<MachineName>()
                        .map(drop)
                        .map_err(|error| error.to_string())
                });
            }
            Kind::Time => {
                self.scalar(node, "a time such as 90m or 2h");
                self.parsed(node, |text| match humantime::parse_duration(text) {
                    Ok(time) if time.is_zero() => Err("no time at all".to_owned()),
                    Ok(_) => Ok(()),
                    Err(_) => Err("not a time such as 90m or 2h".to_owned()),
                });
            }
            Kind::Choice(words) => {
                self.scalar(node, &format!("one of {}", words.join(", ")));
                self.parsed(node, |text| match words.contains(&text) {
                    true => Ok(()),
                    false => Err(format!(
                        "not one of {}{}",
                        words.join(", "),
                        close(text, words)
                    )),
                });
            }
            Kind::Count(most) => self.count(node, most),
            Kind::Switch => self.switch(node),
            Kind::Flag => match &mut node.value {
                Value::List(items) => {
                    for item in items {
                        self.node(item, Kind::Text);
                    }
                }
                _ => self.scalar(node, "text, or a list of texts"),
            },
            Kind::List(kind) => self.list(node, *kind),
            Kind::Map(kind) => self.map(node, *kind),
            Kind::Record(shape) => self.record(node, shape),
        }
    }

    fn list(&mut self, node: &mut Node, kind: Kind) {
        let Value::List(items) = &mut node.value else {
            return self.wrong(node, "a list");
        };
        for item in items {
            match item.value == Value::Null {
                true => self.findings.add(&item.place, "is empty"),
                false => self.node(item, kind),
            }
        }
    }

    fn map(&mut self, node: &mut Node, kind: Kind) {
        if self.entries(node) {
            let Value::Map(entries) = &mut node.value else {
                return;
            };
            for entry in entries {
                self.node(&mut entry.node, kind);
            }
        }
    }

    fn record(&mut self, node: &mut Node, shape: &Shape) {
        if !self.entries(node) {
            return;
        }
        let place = node.place.clone();
        let Value::Map(entries) = &mut node.value else {
            return;
        };
        let known = || shape.fields.iter().map(|field| field.name);
        for entry in entries.iter_mut() {
            match shape.fields.iter().find(|field| field.name == entry.key) {
                Some(field) => self.node(&mut entry.node, field.kind),
                None => {
                    let message = format!("there is no such field{}", meant(&entry.key, known()));
                    self.findings.add(&entry.key_place, message);
                }
            }
        }
        for field in shape.fields.iter().filter(|field| field.required) {
            let given = entries.iter().find(|entry| entry.key == field.name);
            match given.map(|entry| (&entry.node.value, &entry.node.place)) {
                None => {
                    let message = format!("the field {:?} is missing: {}", field.name, field.help);
                    self.findings.add(&place, message);
                }
                Some((Value::Null, place)) => {
                    let message = format!("is empty: {}", field.help);
                    self.findings.add(place, message);
                }
                Some(_) => {}
            }
        }
    }

    /// Whether it is a map; no name may be in it twice.
    fn entries(&mut self, node: &Node) -> bool {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, "a map of fields");
            return false;
        };
        for (n, entry) in entries.iter().enumerate() {
            if entries.iter().take(n).any(|other| other.key == entry.key) {
                self.findings.add(&entry.key_place, "is here twice");
            }
        }
        true
    }

    fn count(&mut self, node: &mut Node, most: i64) {
        let number = match &node.value {
            Value::Whole(number) => Some(*number),
            // A variable's value is always text.
            Value::Text(text) => text.value.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| (1..=most).contains(number)) {
            Some(number) => node.value = Value::Whole(number),
            None => self.wrong(node, &format!("a whole number from 1 to {most}")),
        }
    }

    fn switch(&mut self, node: &mut Node) {
        let on = match &node.value {
            Value::Bool(on) => Some(*on),
            Value::Text(text) => text.value.trim().parse().ok(),
            _ => None,
        };
        match on {
            Some(on) => node.value = Value::Bool(on),
            None => self.wrong(node, "true or false"),
        }
    }

    fn scalar(&mut self, node: &mut Node, expected: &str) {
        match &node.value {
            Value::Text(_) => {}
            Value::Bool(_) | Value::Whole(_) | Value::Number => {
                let text = node.place.scalar(self.text).unwrap_or_default();
                node.value = Value::Text(Text::plain(text));
            }
            Value::Null | Value::List(_) | Value::Map(_) => self.wrong(node, expected),
        }
    }

    fn parsed(&mut self, node: &Node, parse: impl Fn(&str) -> Result<(), String>) {
        let Some(text) = node.text() else { return };
        if let Err(reason) = parse(&text.value) {
            // The reason may quote the value; a value that came from a variable is not shown.
            let message = match text.value == text.written {
                true if reason.contains(&format!("{:?}", text.value)) => reason,
                true => format!("{:?} is {reason}", text.value),
                false => format!("the value of {:?} cannot be used here", text.written),
            };
            self.findings.add(&node.place, message);
        }
    }

    fn wrong(&mut self, node: &Node, expected: &str) {
        let message = format!("must be {expected}, not {}", node.what());
        self.findings.add(&node.place, message);
    }
}

/// The close word alone: which there are was said already.
fn close(text: &str, words: &[&str]) -> String {
    let hint = meant(text, words.iter().copied());
    match hint.contains("did you mean") {
        true => hint,
        false => String::new(),
    }
}
