//! A container as the cluster keeps it: the engine's own JSON, made ready for the cluster's list.

mod listed;
mod status;

use std::borrow::Cow;
use std::sync::Arc;

use rswarm_scheduler::{Resident, SWARM_ID_LABEL};
use serde_json::json;
use serde_json::value::RawValue;

use listed::{Listed, Members};
pub(crate) use status::Status;

/// Repositories whose containers are the cluster's own, which nobody looks for in a list.
const OWN_IMAGES: [&str; 2] = ["swarm", "rswarm"];

/// A container of a node.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// The engine's id.
    pub(crate) id: Arc<str>,
    /// Where its node is.
    pub(crate) addr: Arc<str>,
    /// Its names without a slash before them, its own first.
    pub(crate) names: Arc<[Arc<str>]>,
    /// The id that it keeps when it moves to another node.
    pub(crate) swarm_id: Option<Arc<str>>,
    /// When it was created, in seconds.
    pub(crate) created: i64,
    /// Which of the containers it was that became known: lists tell no more than the second.
    pub(crate) known_as: u64,
    /// The engine's word for what it does.
    pub(crate) state: Cow<'static, str>,
    /// The sentence for what it does.
    pub(crate) status: Status,
    /// It belongs to the cluster's own machinery.
    pub(crate) is_own: bool,
    /// What the list does not tell is known to the scheduler.
    pub(crate) is_inspected: bool,
    /// The item of the cluster's list, without the status.
    json: Arc<str>,
    /// Where the status belongs.
    status_at: usize,
}

/// Where and when a list was made.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The node's address, `host:port`.
    pub(crate) addr: &'a Arc<str>,
    /// Its name.
    pub(crate) name: &'a str,
    /// The address under which its published ports are reached.
    pub(crate) ip: &'a str,
    /// In seconds of the manager's clock.
    pub(crate) now: i64,
    /// How far the node's clock is ahead of it, in seconds.
    pub(crate) skew: i64,
}

impl Container {
    /// Reads an item of an engine's list.
    pub(crate) fn read(
        item: &RawValue,
        origin: &Origin<'_>,
    ) -> Result<(Self, Resident), serde_json::Error> {
        let listed: Listed<'_> = serde_json::from_str(item.get())?;
        let members: Members<'_> = serde_json::from_str(item.get())?;
        let (json, status_at) = rewrite(&members, &listed, origin)?;
        let resident = listed.resident();
        let mut names = vec![Arc::clone(&resident.name)];
        names.extend(resident.aliases.iter().map(Arc::clone));
        let container = Self {
            id: Arc::clone(&resident.id),
            addr: Arc::clone(origin.addr),
            names: names.into(),
            swarm_id: swarm_id(&resident),
            created: listed.created.saturating_sub(origin.skew),
            known_as: 0,
            state: status::word(&listed.state),
            status: Status::read(&listed.status, origin.now),
            is_own: is_own(&listed.image),
            is_inspected: false,
            json,
            status_at,
        };
        Ok((container, resident))
    }

    /// A container that an engine has just created, until its list is read.
    pub(crate) fn created(
        resident: &Resident,
        image: &str,
        origin: &Origin<'_>,
    ) -> Result<Self, serde_json::Error> {
        let labels = resident.labels.iter();
        let labels: serde_json::Map<_, _> = labels
            .map(|(key, value)| (key.to_string(), (**value).into()))
            .collect();
        let names = match resident.name.is_empty() {
            true => json!([]),
            false => json!([format!("/{}", resident.name)]),
        };
        let item = json!({
            "Id": &*resident.id, "Names": names, "Image": image, "ImageID": "", "Command": "",
            "Created": origin.now, "Ports": [], "Labels": labels, "State": "created",
            "Status": "Created", "HostConfig": {}, "NetworkSettings": { "Networks": {} },
            "Mounts": [],
        });
        let item = serde_json::value::to_raw_value(&item)?;
        let (container, _) = Self::read(&item, origin)?;
        Ok(Self {
            is_inspected: true,
            ..container
        })
    }

    /// Keeps once in memory what is the same as it was.
    pub(crate) fn share(&mut self, before: &Self) {
        self.id = Arc::clone(&before.id);
        self.addr = Arc::clone(&before.addr);
        if self.names == before.names {
            self.names = Arc::clone(&before.names);
        }
    }

    /// What grows with the time of the creation.
    pub(crate) fn age(&self) -> (i64, u64) {
        (self.created, self.known_as)
    }

    /// Writes the item of the cluster's list as it is now.
    pub(crate) fn write(&self, status: Option<&str>, now: i64, into: &mut String) {
        into.push_str(&self.json[..self.status_at]);
        match status {
            Some(status) => into.push_str(status),
            // Engines' words for a status have nothing to escape.
            None => self.status.write(now, into),
        }
        into.push_str(&self.json[self.status_at..]);
    }

    /// The item as JSON, for what is rarely asked.
    pub(crate) fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// The item with the node before its names and the node's address for its ports.
fn rewrite(
    members: &Members<'_>,
    listed: &Listed<'_>,
    origin: &Origin<'_>,
) -> Result<(Arc<str>, usize), serde_json::Error> {
    let mut json = String::from("{");
    let mut status_at = None;
    for (key, value) in &members.0 {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&serde_json::to_string(key)?);
        json.push(':');
        match &**key {
            "Names" => {
                let names = listed.names();
                let names: Vec<_> = names
                    .iter()
                    .map(|name| format!("/{}/{name}", origin.name))
                    .collect();
                json.push_str(&serde_json::to_string(&names)?);
            }
            "Ports" => match listed.ports_on(origin.ip) {
                Some(ports) => json.push_str(&ports),
                None => json.push_str(value.get()),
            },
            "Created" if origin.skew != 0 => {
                json.push_str(&listed.created.saturating_sub(origin.skew).to_string());
            }
            "Status" => {
                json.push_str("\"\"");
                status_at = Some(json.len() - 1);
            }
            _ => json.push_str(value.get()),
        }
    }
    let status_at = match status_at {
        Some(at) => at,
        None => {
            json.push_str(",\"Status\":\"\"");
            json.len() - 1
        }
    };
    json.push('}');
    Ok((json.into(), status_at))
}

fn swarm_id(resident: &Resident) -> Option<Arc<str>> {
    let labels = resident.labels.iter();
    let mut ids = labels.filter(|(key, _)| **key == *SWARM_ID_LABEL);
    ids.next().map(|(_, id)| Arc::clone(id))
}

fn is_own(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    let repository = name.split([':', '@']).next().unwrap_or_default();
    OWN_IMAGES.contains(&repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const ITEM: &str = r#"{"Id":"f4d3ba342ad8","Names":["/db/alias","/web"],"Image":"nginx:1","ImageID":"sha256:4d","Command":"/sbin/init","Created":1795244773,"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":22,"Type":"tcp"}],"Labels":{"a":"b"},"State":"running","Status":"Up 5 minutes (healthy)","HostConfig":{"NetworkMode":"rmachine"},"New":[1, {"x":null}]}"#;

    fn read(item: &str) -> (Container, Resident) {
        let item: Box<RawValue> = serde_json::from_str(item).unwrap();
        let origin = Origin {
            addr: &"10.0.0.1:2376".into(),
            name: "node-1",
            ip: "10.0.0.1",
            now: 1_000,
            skew: 0,
        };
        Container::read(&item, &origin).unwrap()
    }

    #[test]
    fn an_item_is_rewritten_and_the_rest_passed_on() {
        let (container, resident) = read(ITEM);
        let mut written = String::new();
        container.write(None, 1_060, &mut written);
        assert_eq!(
            written,
            ITEM.replace(
                r#"["/db/alias","/web"]"#,
                r#"["/node-1/web","/node-1/db/alias"]"#
            )
            .replace(
                r#"{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},"#,
                ""
            )
            .replace("0.0.0.0", "10.0.0.1")
            .replace("5 minutes", "6 minutes")
        );
        assert_eq!(&*resident.name, "web");
        assert_eq!(resident.label("a"), Some("b"));
        assert_eq!(resident.published.len(), 2);
        assert_eq!(resident.state, rswarm_scheduler::State::Running);
    }

    #[test]
    fn little_is_enough() {
        let (container, _) = read(r#"{"Id":"a","Names":null,"Ports":null,"Labels":null}"#);
        let mut written = String::new();
        container.write(Some("Host Down"), 0, &mut written);
        assert_eq!(
            written,
            r#"{"Id":"a","Names":[],"Ports":null,"Labels":null,"Status":"Host Down"}"#
        );
    }

    #[test]
    fn the_clusters_own_containers_are_known() {
        for (image, own) in [
            ("swarm", true),
            ("swarm:1.2.9", true),
            ("registry:5000/x/rswarm:0.1", true),
            ("swarm@sha256:00", true),
            ("myswarm", false),
            ("swarm/nginx", false),
            ("", false),
        ] {
            assert_eq!(is_own(image), own, "{image}");
        }
    }
}
