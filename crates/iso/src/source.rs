use std::path::PathBuf;

use rmachine_driver::hide_url_credentials;
use url::Url;

use crate::{IsoName, Sha256};

/// Where boot2docker's releases lie.
const RELEASES: &str = "https://github.com/boot2docker/boot2docker/releases/download";
/// The last release that there was, and will be.
const RELEASE: &str = "v19.03.12";
/// What the page of that release says.
const PUBLISHED: &str = "33d2db9b78f8e90d0998a1ab34d957c7cb1f8ad2893aad480f13d063f019d95b";

/// Where an ISO comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    pub(crate) name: IsoName,
    /// The places that have it; the first that gives it is enough.
    pub(crate) urls: Vec<Url>,
    pub(crate) sha256: Option<Sha256>,
    /// A file of this name that somebody put into the cache is taken for it: nobody said what it
    /// must be.
    pub(crate) by_hand: bool,
}

impl Source {
    /// The name in the cache of the ISO that is taken when nobody says which; docker-machine's.
    pub const DEFAULT_NAME: &'static str = "boot2docker";

    /// The last release of boot2docker: what is taken when nobody says which ISO. `mirror` is the
    /// URL of a place that has the releases as boot2docker's own has them, such as
    /// `https://example.org/boot2docker`, below which there is `v19.03.12/boot2docker.iso`.
    ///
    /// # Errors
    /// When the mirror is not the URL of a place.
    pub fn boot2docker(mirror: Option<&str>) -> Result<Self, InvalidSource> {
        let below = |place: &str| {
            let place = place.trim_end_matches('/');
            web_url(&format!("{place}/{RELEASE}/boot2docker.iso"), place)
        };
        let mut urls = Vec::new();
        if let Some(mirror) = mirror {
            urls.push(below(mirror)?);
        }
        urls.push(below(RELEASES)?);
        Ok(Self {
            name: named(Self::DEFAULT_NAME)?,
            urls,
            sha256: Some(
                PUBLISHED
                    .parse()
                    .map_err(|_| refused(PUBLISHED, "it is no checksum"))?,
            ),
            by_hand: true,
        })
    }

    /// Another ISO: an `http://`, `https://` or `file://` URL, or an absolute path. Its name in the
    /// cache comes from the URL, and no other URL has the same.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn at(text: &str) -> Result<Self, InvalidSource> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(_) if std::path::Path::new(text).is_absolute() => Url::from_file_path(text)
                .map_err(|()| refused(text, "the path cannot be put into a URL"))?,
            Err(error) => return Err(refused(text, &error.to_string())),
        };
        if url.scheme() == "file" {
            url.to_file_path()
                .map_err(|()| refused(text, "it names no file of this computer"))?;
        } else {
            web_url(text, text)?;
        }
        let file = url.path().rsplit('/').next().unwrap_or_default();
        let stem: String = file
            .strip_suffix(".iso")
            .unwrap_or(file)
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                    c
                } else {
                    '-'
                }
            })
            .take(60)
            .collect();
        let stem = stem.trim_start_matches(['.', '-', '_']);
        let stem = if stem.is_empty() { "iso" } else { stem };
        let whole = Sha256::of(public(&url).as_bytes()).to_string();
        Ok(Self {
            name: named(&format!("{stem}-{}", whole.get(..8).unwrap_or_default()))?,
            urls: vec![url],
            sha256: None,
            by_hand: false,
        })
    }

    /// The same under another name in the cache. What has that name already is not taken for it.
    #[must_use]
    pub fn named(self, name: IsoName) -> Self {
        Self {
            by_hand: self.by_hand && self.name == name,
            name,
            ..self
        }
    }

    /// The same, and its checksum must be this, also of a file that somebody put into the cache.
    #[must_use]
    pub fn checked(self, sha256: Sha256) -> Self {
        Self {
            sha256: Some(sha256),
            by_hand: false,
            ..self
        }
    }

    /// Its name in the cache.
    pub fn name(&self) -> &IsoName {
        &self.name
    }

    /// The checksum that it must have, where one is known.
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256
    }

    /// The file of this computer that it is, for a `file://` URL.
    pub fn file(&self) -> Option<PathBuf> {
        let url = self.urls.first()?;
        (url.scheme() == "file").then(|| url.to_file_path().ok())?
    }
}

/// A URL as it is stored and shown: without a user and a password.
pub(crate) fn public(url: &Url) -> String {
    let mut public = url.clone();
    // Neither fails for a URL with a host; one without has no user.
    let _ = public.set_password(None);
    let _ = public.set_username("");
    public.to_string()
}

fn web_url(text: &str, shown: &str) -> Result<Url, InvalidSource> {
    let url = Url::parse(text).map_err(|error| refused(shown, &error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.host().is_some() => Ok(url),
        _ => Err(refused(
            shown,
            "it is neither http://, https:// nor file://",
        )),
    }
}

fn named(text: &str) -> Result<IsoName, InvalidSource> {
    text.parse()
        .map_err(|error: crate::InvalidIsoName| refused(text, &error.to_string()))
}

fn refused(text: &str, reason: &str) -> InvalidSource {
    InvalidSource {
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A text that says nowhere where an ISO comes from.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no ISO can come from {:?}: {reason}", hide_url_credentials(.text))]
pub struct InvalidSource {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_pinned_and_a_mirror_comes_first() {
        let source = Source::boot2docker(None).unwrap();
        assert_eq!(source.name().as_str(), "boot2docker");
        assert_eq!(source.urls.len(), 1);
        assert!(
            source.urls[0]
                .as_str()
                .ends_with("/v19.03.12/boot2docker.iso")
        );
        assert!(source.sha256().is_some());

        let source = Source::boot2docker(Some("http://mirror.example/b2d/")).unwrap();
        let first = source.urls[0].as_str();
        assert_eq!(first, "http://mirror.example/b2d/v19.03.12/boot2docker.iso");
        assert_eq!(source.urls.len(), 2);
        for bad in ["mirror.example", "file:///x", "ftp://x/y"] {
            assert!(Source::boot2docker(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_url_has_a_name_of_its_own() {
        let name = |text: &str| Source::at(text).unwrap().name().to_string();
        let one = name("https://example.org/v1/boot2docker.iso");
        assert!(one.starts_with("boot2docker-"), "{one}");
        assert_eq!(one, name("https://example.org/v1/boot2docker.iso"));
        assert_ne!(one, name("https://example.org/v2/boot2docker.iso"));
        assert!(name("https://example.org/").starts_with("iso-"));
        assert!(name("https://example.org/..%2Fx?y").starts_with("2Fx-"));
    }

    #[test]
    fn credentials_are_neither_part_of_the_name_nor_shown() {
        let with = Source::at("https://me:secret@example.org/x.iso").unwrap();
        let without = Source::at("https://example.org/x.iso").unwrap();
        assert_eq!(with.name(), without.name());
        assert_eq!(public(&with.urls[0]), without.urls[0].as_str());
        let bad = Source::at("ftp://me:secret@example.org/x.iso").unwrap_err();
        assert!(!bad.to_string().contains("secret"), "{bad}");
    }

    #[test]
    fn files_are_named_by_url_or_path() {
        for text in ["file:///a%20b/c.iso", "/a b/c.iso"] {
            let source = Source::at(text).unwrap();
            assert_eq!(source.file(), Some(PathBuf::from("/a b/c.iso")), "{text}");
        }
        for bad in [
            "",
            "c.iso",
            "ftp://x/c.iso",
            "http://",
            "file://other.host/c.iso",
        ] {
            assert!(Source::at(bad).is_err(), "{bad}");
        }
    }
}
