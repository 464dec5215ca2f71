//! `daemon.json`: the owner's settings and ours in one file, and a note of which are ours, so that
//! a setting that is no longer wanted goes away again and the owner's comes back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::options::{self, Contribution, Shape};

/// The note of what rmachine has set, kept on the host beside what was there before.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Applied {
    /// Values, items and entries that are ours, by key.
    #[serde(default)]
    set: Map<String, Value>,
    /// What our values and entries replaced.
    #[serde(default)]
    replaced: Map<String, Value>,
    /// `hosts` of the owner, which moved to the command line.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Applied {
    /// Reads the note; a note that cannot be read counts as none.
    pub(crate) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The settings of `daemon.json`, ours kept apart from the owner's.
#[derive(Clone, Debug)]
pub(crate) struct DaemonJson {
    owner: Map<String, Value>,
    merged: Map<String, Value>,
    applied: Applied,
}

impl DaemonJson {
    /// Takes the file as it is, and takes back from it what an earlier run has set.
    ///
    /// `hosts` leave it: a unit has them on its command line, and dockerd takes them only once.
    pub(crate) fn read(text: Option<&str>, earlier: Applied) -> Result<Self, serde_json::Error> {
        let mut owner: Map<String, Value> = match text {
            Some(text) if !text.trim().is_empty() => serde_json::from_str(text)?,
            _ => Map::new(),
        };
        take_back(&mut owner, &earlier);
        let mut hosts = earlier.hosts;
        if let Some(Value::Array(found)) = owner.shift_remove("hosts") {
            for host in found.iter().filter_map(Value::as_str) {
                if !hosts.iter().any(|known| known == host) {
                    hosts.push(host.to_owned());
                }
            }
        }
        Ok(Self {
            merged: owner.clone(),
            owner,
            applied: Applied {
                hosts,
                ..Applied::default()
            },
        })
    }

    /// Adds what one option sets.
    pub(crate) fn add(&mut self, contribution: &Contribution) {
        match contribution {
            Contribution::Scalar(key, value) => self.set(key, value),
            Contribution::Item(key, item) => self.push(key, item),
            Contribution::Entry(key, name, value) => self.enter(key, name, value),
            Contribution::Argument(_) => {}
        }
    }

    fn set(&mut self, key: &str, value: &Value) {
        let before = self.owner.get(key);
        if before == Some(value) {
            return;
        }
        if let Some(before) = before {
            self.applied.replaced.insert(key.to_owned(), before.clone());
        }
        self.applied.set.insert(key.to_owned(), value.clone());
        self.merged.insert(key.to_owned(), value.clone());
    }

    fn push(&mut self, key: &str, item: &Value) {
        if let Some(items) = slot(&mut self.merged, key, || json!([])).as_array_mut()
            && !items.contains(item)
        {
            items.push(item.clone());
            if let Some(ours) = slot(&mut self.applied.set, key, || json!([])).as_array_mut() {
                ours.push(item.clone());
            }
        }
    }

    fn enter(&mut self, key: &str, name: &str, value: &Value) {
        let before = self.owner.get(key).and_then(|map| map.get(name)).cloned();
        if before.as_ref() == Some(value) {
            return;
        }
        let entry = |map: &mut Map<String, Value>, value: Value| {
            if let Some(map) = slot(map, key, || json!({})).as_object_mut() {
                map.insert(name.to_owned(), value);
            }
        };
        if let Some(before) = before {
            entry(&mut self.applied.replaced, before);
        }
        entry(&mut self.applied.set, value.clone());
        entry(&mut self.merged, value.clone());
    }

    /// The keys that the owner set and rmachine did not touch.
    pub(crate) fn owner_keys(&self) -> impl Iterator<Item = &str> {
        self.owner
            .keys()
            .map(String::as_str)
            .filter(|key| !self.applied.set.contains_key(*key))
    }

    /// Whether rmachine sets this key, or a part of it.
    pub(crate) fn is_ours(&self, key: &str) -> bool {
        self.applied.set.contains_key(key)
    }

    /// Whether a key of the owner has a shape that ours cannot be merged into.
    pub(crate) fn misshapen(&self, contribution: &Contribution) -> Option<&'static str> {
        let (key, fits): (_, fn(&Value) -> bool) = match contribution {
            Contribution::Item(key, _) => (*key, Value::is_array),
            Contribution::Entry(key, ..) => (*key, Value::is_object),
            _ => return None,
        };
        self.owner
            .get(key)
            .is_some_and(|value| !fits(value))
            .then_some(key)
    }

    /// Whether nothing is to be said in the file.
    pub(crate) fn is_empty(&self) -> bool {
        self.merged.is_empty()
    }

    /// Hosts that the owner had in the file.
    pub(crate) fn moved_hosts(&self) -> &[String] {
        &self.applied.hosts
    }

    /// The file's new text; the old one when it says the same.
    pub(crate) fn text(&self, before: Option<&str>) -> String {
        let same = |text: &&str| {
            serde_json::from_str::<Map<String, Value>>(text).is_ok_and(|map| map == self.merged)
        };
        match before.filter(same) {
            Some(text) => text.to_owned(),
            None => pretty(&self.merged),
        }
    }

    /// The note that goes with the file.
    pub(crate) fn note(&self) -> &Applied {
        &self.applied
    }
}

/// JSON that a person can read, with a line end.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    // Maps with text keys always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn slot<'m>(
    map: &'m mut Map<String, Value>,
    key: &str,
    empty: impl FnOnce() -> Value,
) -> &'m mut Value {
    map.entry(key.to_owned()).or_insert_with(empty)
}

/// Undoes what an earlier run has set, except where the owner has changed it since.
fn take_back(owner: &mut Map<String, Value>, earlier: &Applied) {
    for (key, ours) in &earlier.set {
        let replaced = earlier.replaced.get(key);
        let Some(current) = owner.get_mut(key) else {
            continue;
        };
        match (options::shape_of_key(key), &mut *current, ours) {
            (Some(Shape::List), Value::Array(items), Value::Array(ours)) => {
                items.retain(|item| !ours.contains(item));
                if items.is_empty() {
                    owner.shift_remove(key);
                }
            }
            (
                Some(Shape::Map | Shape::Runtime | Shape::Ulimit),
                Value::Object(entries),
                Value::Object(ours),
            ) => {
                for (name, value) in ours {
                    if entries.get(name) != Some(value) {
                        continue;
                    }
                    match replaced.and_then(|map| map.get(name)) {
                        Some(before) => {
                            entries.insert(name.clone(), before.clone());
                        }
                        None => {
                            entries.shift_remove(name);
                        }
                    }
                }
                if entries.is_empty() {
                    owner.shift_remove(key);
                }
            }
            (_, current, ours) if current == ours => match replaced {
                Some(before) => *current = before.clone(),
                None => {
                    owner.shift_remove(key);
                }
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(owner: &str, earlier: Applied, ours: &[Contribution]) -> (Value, Applied) {
        let mut json = DaemonJson::read(Some(owner), earlier).unwrap();
        for contribution in ours {
            json.add(contribution);
        }
        let value = serde_json::from_str(&json.text(Some(owner))).unwrap();
        (value, json.note().clone())
    }

    #[test]
    fn what_is_no_longer_wanted_goes_and_the_owners_comes_back() {
        let owner = r#"{"labels": ["a=1"], "log-driver": "journald", "log-opts": {"tag": "x"}, "mtu": 9000}"#;
        let ours = [
            Contribution::Item("labels", json!("a=1")),
            Contribution::Item("labels", json!("b=2")),
            Contribution::Scalar("log-driver", json!("gelf")),
            Contribution::Entry("log-opts", "tag".into(), json!("y")),
            Contribution::Entry("log-opts", "gelf-address".into(), json!("udp://h:1")),
            Contribution::Scalar("bip", json!("10.9.0.1/16")),
        ];
        let (first, note) = merged(owner, Applied::default(), &ours);
        assert_eq!(
            first,
            json!({"labels": ["a=1", "b=2"], "log-driver": "gelf",
                   "log-opts": {"tag": "y", "gelf-address": "udp://h:1"},
                   "mtu": 9000, "bip": "10.9.0.1/16"})
        );
        let (second, _) = merged(&first.to_string(), note.clone(), &ours[..1]);
        assert_eq!(second, serde_json::from_str::<Value>(owner).unwrap());

        let (third, again) = merged(&first.to_string(), note.clone(), &ours);
        assert_eq!((third, again), (first, note));
    }

    #[test]
    fn what_the_owner_changed_since_is_the_owners() {
        let ours = [Contribution::Scalar("mtu", json!(1400))];
        let (_, note) = merged("{}", Applied::default(), &ours);
        let (value, _) = merged(r#"{"mtu": 1300}"#, note, &[]);
        assert_eq!(value, json!({"mtu": 1300}));
    }

    #[test]
    fn hosts_leave_the_file_and_are_remembered() {
        let owner = r#"{"hosts": ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"]}"#;
        let (value, note) = merged(owner, Applied::default(), &[]);
        assert_eq!(value, json!({}));
        let (_, again) = merged("{}", note.clone(), &[]);
        assert_eq!(
            again.hosts,
            ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"]
        );
        assert_eq!(again, note);
    }

    #[test]
    fn a_file_that_says_the_same_keeps_its_text() {
        let text = "{ \"mtu\":9000 }";
        let json = DaemonJson::read(Some(text), Applied::default()).unwrap();
        assert_eq!(json.text(Some(text)), text);
    }
}
