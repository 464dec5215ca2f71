use std::collections::BTreeMap;
use std::sync::Arc;

/// An image that a node has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Image {
    /// The id, `sha256:…`.
    pub id: Arc<str>,
    /// Its names with tags.
    pub tags: Vec<Arc<str>>,
    /// Its names with digests.
    pub digests: Vec<Arc<str>>,
}

/// What the images of a node are called: ids, names with and without tags, digests.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageIndex(BTreeMap<Arc<str>, ()>);

impl ImageIndex {
    pub(crate) fn references(&self) -> &BTreeMap<Arc<str>, ()> {
        &self.0
    }
}

impl FromIterator<Image> for ImageIndex {
    fn from_iter<I: IntoIterator<Item = Image>>(images: I) -> Self {
        let mut index = BTreeMap::new();
        for image in images {
            for tag in image.tags {
                if !index.contains_key(repository(&tag)) {
                    index.insert(repository(&tag).into(), ());
                }
                index.insert(tag, ());
            }
            index.extend(image.digests.into_iter().map(|digest| (digest, ())));
            index.insert(image.id, ());
        }
        Self(index)
    }
}

/// The name without its tag. A colon before a slash belongs to a registry's port.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_name_without_tag_and_digest() {
        let table = [
            ("nginx:1.25", "nginx"),
            ("nginx", "nginx"),
            ("host:5000/nginx", "host:5000/nginx"),
            ("host:5000/nginx:1", "host:5000/nginx"),
            ("nginx@sha256:00", "nginx"),
            ("<none>:<none>", "<none>"),
        ];
        for (reference, expected) in table {
            assert_eq!(repository(reference), expected, "{reference}");
        }
    }
}
