//! What an engine's list says of a container.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rswarm_scheduler::{Port, PublishedPort, Resident, State};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The members of a JSON object in their order, their values as they are.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

/// What is read of a list's item; the rest is passed on unread.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(default, borrow)]
    names: Option<Vec<Cow<'a, str>>>,
    #[serde(default, borrow)]
    pub(crate) image: Cow<'a, str>,
    #[serde(default)]
    pub(crate) created: i64,
    #[serde(default)]
    ports: Option<Vec<ListedPort>>,
    #[serde(default, borrow)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default, borrow)]
    pub(crate) state: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(crate) status: Cow<'a, str>,
}

/// A port, as it stands in a list.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(rename = "IP", default, skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    private_port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_port: Option<u16>,
    #[serde(rename = "Type", default)]
    protocol: String,
}

impl Listed<'_> {
    /// The names without a slash before them, its own before those that links made.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let names = self.names.iter().flatten();
        let mut names: Vec<Arc<str>> = names
            .map(|name| name.strip_prefix('/').unwrap_or(name).into())
            .collect();
        names.sort_by_key(|name: &Arc<str>| name.contains('/'));
        names
    }

    /// What the scheduler may know from a list alone.
    pub(crate) fn resident(&self) -> Resident {
        let mut names = self.names().into_iter();
        let own = names.next().unwrap_or_default();
        let labels = self.labels.iter().flatten();
        Resident {
            name: own,
            aliases: names.collect(),
            labels: labels
                .map(|(key, value)| ((**key).into(), (**value).into()))
                .collect(),
            state: State::of(&self.state),
            published: self.published(),
            ..Resident::new(&*self.id)
        }
    }

    fn published(&self) -> Vec<PublishedPort> {
        let ports = self.ports.iter().flatten();
        let mut published: Vec<_> = ports
            .filter_map(|listed| {
                let text = format!("{}/{}", listed.public_port?, listed.protocol);
                Some(PublishedPort {
                    port: Port::parse(&text)?,
                    ip: listed.ip.as_ref().and_then(|ip| ip.parse().ok()),
                })
            })
            .collect();
        published.sort_unstable();
        published.dedup();
        published
    }

    /// The ports with the node's address in place of none; once, where they are published for
    /// IPv4 and IPv6.
    pub(crate) fn ports_on(&self, node_ip: &str) -> Option<String> {
        let mut seen = BTreeSet::new();
        let mut written: Vec<ListedPort> = Vec::new();
        for port in self.ports.as_ref()? {
            let mut port = port.clone();
            if let Some(ip) = &mut port.ip
                && is_unspecified(ip)
            {
                node_ip.clone_into(ip);
            }
            if seen.insert(port.clone()) {
                written.push(port);
            }
        }
        serde_json::to_string(&written).ok()
    }
}

fn is_unspecified(ip: &str) -> bool {
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key.0, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A key that is borrowed where it can be.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
