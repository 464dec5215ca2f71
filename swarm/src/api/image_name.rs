//! Names of images, as people write them. Pure.

/// What a person means by the name of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageName {
    /// The repository as engines list it: `busybox`, `reg.io/a/b`.
    pub repository: String,
    /// The tag, or the digest with its `sha256:`; neither where none is written.
    pub version: Option<Version>,
}

/// Which of a repository's images.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Version {
    /// What follows `:`.
    Tag(String),
    /// What follows `@`.
    Digest(String),
}

impl ImageName {
    /// Reads a name. Every text is one; the engine says what it thinks of it.
    pub fn read(text: &str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let slash = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[slash..].find(':') {
            Some(colon) => (&name[..slash + colon], Some(&name[slash + colon + 1..])),
            None => (name, None),
        };
        let version = match (digest, tag) {
            (Some(digest), _) => Some(Version::Digest(digest.to_owned())),
            (None, Some(tag)) => Some(Version::Tag(tag.to_owned())),
            (None, None) => None,
        };
        Self {
            repository: familiar(repository).to_owned(),
            version,
        }
    }

    /// The name as engines list it, with the tag that is meant where none is written.
    pub fn listed(&self) -> String {
        match &self.version {
            Some(Version::Tag(tag)) => format!("{}:{tag}", self.repository),
            Some(Version::Digest(digest)) => format!("{}@{digest}", self.repository),
            None => format!("{}:latest", self.repository),
        }
    }

    /// The parameters of a pull: without a tag an engine would pull all.
    pub fn pull_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let (name, tag) = match &self.version {
            Some(Version::Digest(digest)) => (&self.repository, digest.as_str()),
            Some(Version::Tag(tag)) => (&self.repository, tag.as_str()),
            None => (&self.repository, "latest"),
        };
        query.append_pair("fromImage", name).append_pair("tag", tag);
        query.finish()
    }
}

/// Where images are that name no registry.
const DOCKER_HUB: &str = "docker.io";

/// The name without what engines leave out of it: the hub, and `library/` before a name alone.
fn familiar(repository: &str) -> &str {
    let on_hub = [DOCKER_HUB, "index.docker.io"]
        .iter()
        .find_map(|hub| repository.strip_prefix(hub)?.strip_prefix('/'));
    let path = on_hub.unwrap_or(repository);
    match path.strip_prefix("library/") {
        Some(official) if !official.contains('/') => official,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_engines_list_them() {
        for (text, listed, query) in [
            ("busybox", "busybox:latest", "fromImage=busybox&tag=latest"),
            (
                "docker.io/library/busybox:1",
                "busybox:1",
                "fromImage=busybox&tag=1",
            ),
            ("library/busybox:1", "busybox:1", "fromImage=busybox&tag=1"),
            ("docker.io/a/b", "a/b:latest", "fromImage=a%2Fb&tag=latest"),
            (
                "reg.io/a/b:2",
                "reg.io/a/b:2",
                "fromImage=reg.io%2Fa%2Fb&tag=2",
            ),
            (
                "h:5000/a",
                "h:5000/a:latest",
                "fromImage=h%3A5000%2Fa&tag=latest",
            ),
            (
                "localhost/a:x",
                "localhost/a:x",
                "fromImage=localhost%2Fa&tag=x",
            ),
            ("a:1@sha256:f", "a@sha256:f", "fromImage=a&tag=sha256%3Af"),
        ] {
            let name = ImageName::read(text);
            assert_eq!(name.listed(), listed);
            assert_eq!(name.pull_query(), query);
        }
    }
}
