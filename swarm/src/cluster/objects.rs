//! Images, volumes and networks: each node's own list, and what names them.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use rswarm_scheduler::node::Image;

use super::Cluster;
use super::limits::Items;
use super::member::ObjectKind;
use super::view::{NodeObjects, Object};

/// The fewest characters of an image's id that name it.
const SHORTEST_ID: usize = 3;

impl Cluster {
    /// The images of every node that has answered.
    pub fn images(&self) -> Vec<NodeObjects> {
        self.objects(ObjectKind::Images)
    }

    /// The volumes of every node that has answered.
    pub fn volumes(&self) -> Vec<NodeObjects> {
        self.objects(ObjectKind::Volumes)
    }

    /// The networks of every node that has answered.
    pub fn networks(&self) -> Vec<NodeObjects> {
        self.objects(ObjectKind::Networks)
    }

    /// Says that a node's images may have changed: they are read as soon as may be.
    pub fn touched_images(&self, addr: &str) {
        self.touched_objects(addr, ObjectKind::Images);
    }

    /// Says that a node's volumes may have changed.
    pub fn touched_volumes(&self, addr: &str) {
        self.touched_objects(addr, ObjectKind::Volumes);
    }

    /// Says that a node's networks may have changed.
    pub fn touched_networks(&self, addr: &str) {
        self.touched_objects(addr, ObjectKind::Networks);
    }

    fn touched_objects(&self, addr: &str, kind: ObjectKind) {
        if let Some(member) = self.write().members.get_mut(addr) {
            member.changes.objects(kind);
            member.wake.notify_one();
        }
    }

    fn objects(&self, kind: ObjectKind) -> Vec<NodeObjects> {
        let state = self.read();
        let members = state.members.values();
        members
            .filter_map(|member| {
                Some(NodeObjects {
                    node: member.node_engine()?,
                    objects: Arc::clone(member.objects.of(kind)),
                })
            })
            .collect()
    }
}

impl Object {
    /// Whether an image is meant: by its id or the beginning of it, by its name with tag or
    /// digest; without a tag by `latest`, or by any tag where that is asked for.
    pub fn is_image(&self, reference: &str, any_tag: bool) -> bool {
        let bare = self.id.trim_start_matches("sha256:");
        let wanted = reference.trim_start_matches("sha256:");
        let by_id = wanted.len() >= SHORTEST_ID && bare.starts_with(wanted);
        let reference = familiar(reference);
        let has_tag = reference.contains('@')
            || reference
                .rsplit('/')
                .next()
                .is_some_and(|name| name.contains(':'));
        by_id
            || self.names.iter().any(|name| {
                let name = familiar(name);
                match name.strip_prefix(reference) {
                    Some("") => true,
                    Some(":latest") => !has_tag,
                    Some(rest) => any_tag && !has_tag && is_tag(rest),
                    None => false,
                }
            })
    }
}

/// A name without the parts that stand for the usual registry.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

fn is_tag(rest: &str) -> bool {
    (rest.starts_with(':') || rest.starts_with('@')) && !rest.contains('/')
}

/// What is read of a list's item; the rest is passed on unread.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Item {
    id: String,
    name: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    driver: String,
    scope: String,
}

#[derive(Deserialize)]
struct VolumeList {
    #[serde(rename = "Volumes", default)]
    volumes: Option<Items<Box<RawValue>>>,
}

/// Reads an engine's list.
pub(crate) fn read(kind: ObjectKind, list: &[u8]) -> Result<Arc<[Object]>, serde_json::Error> {
    let items: Option<Items<Box<RawValue>>> = match kind {
        ObjectKind::Images | ObjectKind::Networks => serde_json::from_slice(list)?,
        ObjectKind::Volumes => {
            let list: VolumeList = serde_json::from_slice(list)?;
            list.volumes
        }
    };
    let items = items.map_or_else(Vec::new, |items| items.0);
    items.into_iter().map(object).collect()
}

fn object(json: Box<RawValue>) -> Result<Object, serde_json::Error> {
    // A derived type can be read from a list, too.
    if !json.get().starts_with('{') {
        return Err(serde_json::Error::custom("an item is not an object"));
    }
    let item: Item = serde_json::from_str(json.get())?;
    let tags = item.repo_tags.unwrap_or_default();
    let names = tags
        .into_iter()
        .chain(item.repo_digests.unwrap_or_default());
    let names = names.filter(|name| !name.starts_with("<none>"));
    let own = (!item.name.is_empty()).then(|| item.name.clone());
    let id = match item.id.is_empty() {
        true => item.name,
        false => item.id,
    };
    Ok(Object {
        id: id.into(),
        names: names.chain(own).map(Arc::from).collect(),
        driver: item.driver.into(),
        scope: item.scope.into(),
        json,
    })
}

/// What the scheduler knows of images.
pub(crate) fn for_scheduler(images: &[Object]) -> impl Iterator<Item = Image> + '_ {
    images.iter().map(|image| {
        let names = image.names.iter().map(Arc::clone);
        let (digests, tags) = names.partition(|name| name.contains('@'));
        Image {
            id: Arc::clone(&image.id),
            tags,
            digests,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_engines_write_them() {
        let images = br#"[{"Containers":-1,"Id":"sha256:4d38","RepoDigests":["<none>@<none>"],"RepoTags":["nginx:1","nginx:latest"],"New":1}]"#;
        let images = read(ObjectKind::Images, images).unwrap();
        assert_eq!(&*images[0].id, "sha256:4d38");
        assert_eq!(&*images[0].names, ["nginx:1".into(), "nginx:latest".into()]);
        assert!(images[0].json.get().contains("\"New\":1"));
        let volumes =
            br#"{"Volumes":[{"Name":"v","Driver":"local","Scope":"local"}],"Warnings":null}"#;
        let volumes = read(ObjectKind::Volumes, volumes).unwrap();
        assert_eq!((&*volumes[0].id, &*volumes[0].driver), ("v", "local"));
        assert_eq!(
            read(ObjectKind::Volumes, b"{\"Volumes\":null}")
                .unwrap()
                .len(),
            0
        );
        let networks = br#"[{"Name":"n","Id":"1974","Scope":"local","Driver":"bridge"}]"#;
        let networks = read(ObjectKind::Networks, networks).unwrap();
        assert_eq!((&*networks[0].id, &*networks[0].names[0]), ("1974", "n"));
    }

    #[test]
    fn images_are_known_by_many_names() {
        let list = br#"[{"Id":"sha256:4d38aa","RepoTags":["nginx:1","nginx:latest","reg:5000/x:2"],"RepoDigests":["nginx@sha256:77"]}]"#;
        let image = &read(ObjectKind::Images, list).unwrap()[0];
        for (reference, is, with_any_tag) in [
            ("nginx", true, true),
            ("nginx:1", true, true),
            ("docker.io/library/nginx:1", true, true),
            ("nginx:2", false, false),
            ("nginx@sha256:77", true, true),
            ("reg:5000/x", false, true),
            ("reg:5000/x:2", true, true),
            ("4d3", true, true),
            ("sha256:4d38", true, true),
            ("4d", false, false),
            ("ngin", false, false),
            ("x", false, false),
        ] {
            assert_eq!(image.is_image(reference, false), is, "{reference}");
            assert_eq!(image.is_image(reference, true), with_any_tag, "{reference}");
        }
    }
}
