//! The list of containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use regex::Regex;
use serde_json::Value;

use super::Cluster;
use super::container::Container;
use super::member::Member;
use super::place::now;
use super::state::State;
use super::view::NotFound;

/// What is asked of the list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Stopped ones, too.
    pub all: bool,
    /// The most that are wanted.
    pub limit: Option<usize>,
    /// Only those created before this one.
    pub before: Option<String>,
    /// Only those created after this one.
    pub since: Option<String>,
    /// What they have to be: by each key one of its values, by `label` all of them.
    pub filters: BTreeMap<String, Vec<String>>,
}

/// The list, part by part: a JSON array.
pub struct Listing {
    items: std::vec::IntoIter<(Arc<Container>, bool)>,
    now: i64,
    begun: bool,
    ended: bool,
}

/// How many bytes come at a time.
const PART: usize = 64 * 1024;

/// The room that nearly every item takes at most.
const ITEM: usize = 4 * 1024;

/// The status of what is on a node that does not answer.
const HOST_DOWN: &str = "Host Down";

impl Cluster {
    /// The list as it is now. Whoever has just changed something waits for
    /// [`settle`](Self::settle) first.
    ///
    /// # Errors
    /// [`NotFound`] for the container of `before` or `since`.
    pub fn list_containers(&self, query: &ListQuery) -> Result<Listing, NotFound> {
        let state = self.read();
        let wanted = Wanted::new(query, &state)?;
        let matching = state.index.newest().filter_map(|container| {
            let member = state.members.get(&container.addr)?;
            let wanted = wanted.matches(container, member);
            wanted.then(|| (Arc::clone(container), !member.life.is_healthy()))
        });
        let items: Vec<_> = match query.limit {
            Some(limit) if limit > 0 => matching.take(limit).collect(),
            _ => matching.collect(),
        };
        Ok(Listing {
            items: items.into_iter(),
            now: now(),
            begun: false,
            ended: false,
        })
    }
}

impl Iterator for Listing {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut part = String::with_capacity(PART.min(ITEM * self.items.len()) + ITEM);
        if !self.begun {
            part.push('[');
        }
        while part.len() < PART {
            let Some((container, is_down)) = self.items.next() else {
                self.ended = true;
                part.push_str("]\n");
                break;
            };
            if self.begun {
                part.push(',');
            }
            self.begun = true;
            container.write(is_down.then_some(HOST_DOWN), self.now, &mut part);
        }
        Some(part.into())
    }
}

/// A query made ready.
struct Wanted<'a> {
    all: bool,
    before: Option<Arc<Container>>,
    since: Option<Arc<Container>>,
    filters: Vec<(&'a str, Vec<Matcher<'a>>)>,
}

/// A filter's value.
struct Matcher<'a> {
    text: &'a str,
    /// The text as a pattern, for names.
    pattern: Option<Regex>,
}

impl<'a> Wanted<'a> {
    fn new(query: &'a ListQuery, state: &State) -> Result<Self, NotFound> {
        let find = |name: &Option<String>| match name.as_deref() {
            None | Some("") => Ok(None),
            Some(name) => state.resolve(name).map(|found| {
                let key = (found.id, Arc::clone(&found.node.about.addr));
                state.index.get(&key).cloned()
            }),
        };
        let first = |key: &str| query.filters.get(key).and_then(|values| values.first());
        let before = query.before.clone().or_else(|| first("before").cloned());
        let since = query.since.clone().or_else(|| first("since").cloned());
        let filters = query.filters.iter();
        let by_state = ["status", "exited"].iter().any(|key| first(key).is_some());
        Ok(Self {
            all: query.all || by_state || query.limit.is_some_and(|limit| limit > 0),
            before: find(&before)?,
            since: find(&since)?,
            filters: filters
                .filter(|(key, values)| {
                    !values.is_empty() && !matches!(key.as_str(), "before" | "since")
                })
                .map(|(key, values)| (key.as_str(), values.iter().map(Matcher::new).collect()))
                .collect(),
        })
    }

    fn matches(&self, container: &Container, member: &Member) -> bool {
        let is_shown = self.all
            || (member.life.is_healthy()
                && !container.is_own
                && matches!(&*container.state, "running" | "paused" | "restarting"));
        let older = |than: &Arc<Container>| container.age() < than.age();
        let newer = |than: &Arc<Container>| container.age() > than.age();
        is_shown
            && self.before.as_ref().is_none_or(older)
            && self.since.as_ref().is_none_or(newer)
            && self.filters.iter().all(|(key, values)| {
                let fits = |value: &Matcher<'_>| value.fits(key, container, member);
                match *key {
                    "label" => values.iter().all(fits),
                    _ => values.iter().any(fits),
                }
            })
    }
}

impl<'a> Matcher<'a> {
    fn new(text: &'a String) -> Self {
        let plain = text.strip_prefix("^/").map(|rest| format!("^{rest}"));
        let plain = plain.as_deref().unwrap_or(text);
        Self {
            text,
            pattern: Regex::new(plain.trim_start_matches('/')).ok(),
        }
    }

    fn fits(&self, key: &str, container: &Container, member: &Member) -> bool {
        let text = self.text;
        match key {
            "id" => container.id.starts_with(text),
            "name" => container.names.first().is_some_and(|name| {
                let found = self.pattern.as_ref().map(|pattern| pattern.is_match(name));
                found.unwrap_or_else(|| name.contains(text))
            }),
            "label" => {
                let resident = member.node.resident(&container.id);
                resident.is_some_and(|resident| match text.split_once('=') {
                    Some((label, value)) => resident.label(label) == Some(value),
                    None => resident.label(text).is_some(),
                })
            }
            "status" => *container.state == *text,
            "exited" => container
                .status
                .exit_code()
                .is_some_and(|code| code.to_string() == text),
            "health" => container.status.health() == text,
            "node" => member.is_called(text),
            "is-task" => matches!(text, "false" | "0"),
            _ => within(&container.value(), key, text),
        }
    }
}

/// What is rarely asked is read when it is.
fn within(item: &Value, key: &str, text: &str) -> bool {
    let is = |value: &Value| value.as_str().is_some_and(|value| value == text);
    let any = |value: &Value, fits: &dyn Fn(&Value) -> bool| {
        value
            .as_array()
            .is_some_and(|values| values.iter().any(fits))
    };
    match key {
        "volume" => any(&item["Mounts"], &|mount| {
            is(&mount["Name"]) || is(&mount["Destination"]) || is(&mount["Source"])
        }),
        "network" => item["NetworkSettings"]["Networks"]
            .as_object()
            .is_some_and(|networks| {
                networks.iter().any(|(name, network)| {
                    let id = network["NetworkID"].as_str().unwrap_or_default();
                    name == text || (!text.is_empty() && id.starts_with(text))
                })
            }),
        "ancestor" => {
            let image = item["Image"].as_str().unwrap_or_default();
            let id = item["ImageID"].as_str().unwrap_or_default();
            let bare = id.trim_start_matches("sha256:");
            image == text
                || image.strip_suffix(":latest") == Some(text)
                || text.strip_suffix(":latest") == Some(image)
                || id == text
                || (text.len() >= 12 && bare.starts_with(text.trim_start_matches("sha256:")))
        }
        "publish" | "expose" => {
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let field = match key {
                "publish" => "PublicPort",
                _ => "PrivatePort",
            };
            let (from, to) = port.split_once('-').unwrap_or((port, port));
            let (Ok(from), Ok(to)) = (from.parse::<u64>(), to.parse::<u64>()) else {
                return false;
            };
            any(&item["Ports"], &|listed| {
                let number = listed[field].as_u64();
                number.is_some_and(|number| (from..=to).contains(&number))
                    && listed["Type"].as_str() == Some(protocol)
            })
        }
        // What is not known here asks for nothing, as with the original.
        _ => true,
    }
}
