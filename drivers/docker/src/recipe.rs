use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The repository of the images that rmachine builds.
const REPOSITORY: &str = "rmachine/node";

/// Marks the images that rmachine builds, with how they were made.
pub const IMAGE_LABEL: &str = "io.rmachine.node";

/// The release of machines that ask for none.
pub const DEFAULT_RELEASE: &str = "bookworm";

/// How much of the hash the tag shows: enough that no two recipes ever meet.
const SHOWN_OF_HASH: usize = 16;

/// What a node image is made of. Equal recipes make equal images, so the image is cached under
/// the recipe's hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipe {
    pub release: Release,
    /// Where packages come from; `None` is Debian's own archive.
    pub mirror: Option<String>,
}

impl Recipe {
    /// The image's name: `rmachine/node:` and the hash of everything that goes in.
    pub fn tag(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(self.release.as_str().as_bytes());
        add(self.mirror().as_bytes());
        for file in FILES {
            add(file.path.as_bytes());
            add(&file.mode.to_be_bytes());
            add(file.text.as_bytes());
        }
        let mut hex = String::new();
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        format!("{REPOSITORY}:{}", &hex[..SHOWN_OF_HASH])
    }

    /// The image that a build starts from, where a registry has it.
    pub fn base(&self) -> String {
        format!("debian:{}-slim", self.release)
    }

    /// The mirror as the scripts take it: empty for Debian's own.
    pub fn mirror(&self) -> &str {
        self.mirror.as_deref().unwrap_or_default()
    }

    /// The files as the context of an image build.
    pub fn context(&self) -> io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for file in FILES {
            let mut header = tar::Header::new_gnu();
            header.set_mode(file.mode);
            header.set_size(file.text.len() as u64);
            tar.append_data(&mut header, file.path, file.text.as_bytes())?;
        }
        tar.into_inner()
    }

    /// Writes the files under a directory.
    pub fn unpack(&self, directory: &Path) -> io::Result<()> {
        for file in FILES {
            let path = directory.join(file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut target = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(file.mode)
                .open(path)?;
            io::Write::write_all(&mut target, file.text.as_bytes())?;
        }
        Ok(())
    }
}

/// A Debian release's code name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release(String);

impl Release {
    /// The code name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Release {
    fn default() -> Self {
        Self(DEFAULT_RELEASE.to_owned())
    }
}

impl FromStr for Release {
    type Err = InvalidRelease;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRelease)
        }
    }
}

impl TryFrom<String> for Release {
    type Error = InvalidRelease;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no code name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a Debian release is a code name in small letters, such as bookworm")]
pub struct InvalidRelease;

struct File {
    path: &'static str,
    mode: u32,
    text: &'static str,
}

macro_rules! file {
    ($path:literal, $mode:literal) => {
        File {
            path: $path,
            mode: $mode,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../templates/node/",
                $path
            )),
        }
    };
}

const FILES: &[File] = &[
    file!("Dockerfile", 0o644),
    file!("debootstrap.sh", 0o644),
    file!("packages", 0o644),
    file!("setup.sh", 0o644),
    file!("rootfs/etc/dpkg/dpkg.cfg.d/rmachine", 0o644),
    file!("rootfs/etc/ssh/sshd_config.d/rmachine.conf", 0o644),
    file!("rootfs/etc/sudoers.d/docker", 0o440),
    file!("rootfs/etc/systemd/journald.conf.d/rmachine.conf", 0o644),
    file!("rootfs/etc/systemd/system.conf.d/rmachine.conf", 0o644),
    file!(
        "rootfs/etc/systemd/system/rmachine-host-keys.service",
        0o644
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn recipe(release: &str, mirror: Option<&str>) -> Recipe {
        Recipe {
            release: release.parse().unwrap(),
            mirror: mirror.map(str::to_owned),
        }
    }

    #[test]
    fn the_tag_follows_every_input_and_nothing_else() {
        let plain = recipe("bookworm", None);
        assert_eq!(plain.tag(), plain.clone().tag());
        assert_ne!(plain.tag(), recipe("trixie", None).tag());
        assert_ne!(plain.tag(), recipe("bookworm", Some("http://m/d")).tag());
        let (repository, hash) = plain
            .tag()
            .split_once(':')
            .map(|(r, h)| (r.to_owned(), h.len()))
            .unwrap();
        assert_eq!((repository.as_str(), hash), (REPOSITORY, SHOWN_OF_HASH));
    }

    #[test]
    fn every_template_is_in_the_recipe() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../templates/node");
        let mut found = BTreeSet::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let relative = path.strip_prefix(&root).unwrap();
                    found.insert(relative.to_str().unwrap().to_owned());
                }
            }
        }
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(found, listed);
    }

    #[test]
    fn the_context_and_the_directory_hold_the_same_files() {
        let recipe = recipe("bookworm", None);
        let directory = tempfile::tempdir().unwrap();
        recipe.unpack(directory.path()).unwrap();
        let context = recipe.context().unwrap();
        let mut archive = tar::Archive::new(context.as_slice());
        let mut seen = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = directory.path().join(entry.path().unwrap());
            let mut text = String::new();
            io::Read::read_to_string(&mut entry, &mut text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{path:?}");
            seen += 1;
        }
        assert_eq!(seen, FILES.len());
    }

    #[test]
    fn a_release_cannot_be_an_option_or_a_path() {
        for bad in ["", "-x", "../sid", "Bookworm", "a b", "12"] {
            assert!(bad.parse::<Release>().is_err(), "{bad:?}");
        }
    }
}
