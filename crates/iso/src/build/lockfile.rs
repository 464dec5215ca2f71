use std::fmt;
use std::str::FromStr;

use super::BuildEngine;
use crate::Sha256;

const HEAD: &str = "rmachine-iso 1";

/// What an image is made of. As text, it is what `rmachine iso build --lock` reads:
///
/// ```text
/// rmachine-iso 1
/// engine 20.10
/// epoch 1790000000
/// package docker.io 20.10.24+dfsg1-1+deb12u1 amd64 9f86d081884c7d659a2feaa0c55ad015…
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackageLock {
    /// The engine, and with it the release of Debian.
    pub engine: BuildEngine,
    /// The date that everything in the image has, in seconds since 1970.
    pub epoch: u64,
    /// The packages, by name.
    pub packages: Vec<LockedPackage>,
}

/// A package.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The checksum of the file.
    pub sha256: Sha256,
}

impl LockedPackage {
    /// As apt-get takes it.
    pub(crate) fn as_argument(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// As apt-get calls the file.
    pub(crate) fn file_name(&self) -> String {
        let version = self.version.replace(':', "%3a");
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }
}

impl PackageLock {
    /// The version of the engine that is in the packages, without what Debian adds to it.
    pub fn engine_version(&self) -> String {
        let engine = self
            .packages
            .iter()
            .find(|package| package.name == "docker.io");
        let version = engine.map_or("", |package| package.version.as_str());
        let upstream = version.rsplit_once(':').map_or(version, |(_, rest)| rest);
        let end = upstream.find(['+', '-', '~']).unwrap_or(upstream.len());
        match upstream.get(..end) {
            Some("") | None => self.engine.to_string(),
            Some(upstream) => upstream.to_owned(),
        }
    }
}

impl fmt::Display for PackageLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}\nengine {}\nepoch {}", self.engine, self.epoch)?;
        self.packages.iter().try_for_each(|package| {
            writeln!(
                f,
                "package {} {} {} {}",
                package.name, package.version, package.architecture, package.sha256
            )
        })
    }
}

impl FromStr for PackageLock {
    type Err = InvalidLock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |line: usize, reason: &str| InvalidLock {
            line: line + 1,
            reason: reason.to_owned(),
        };
        if text.lines().next() != Some(HEAD) {
            return Err(wrong(0, &format!("it is not {HEAD:?}")));
        }
        let (mut engine, mut epoch, mut packages) = (None, None, Vec::new());
        for (number, line) in text.lines().enumerate().skip(1) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                [""] | ["#", ..] => {}
                ["engine", name] => {
                    let read = name.parse::<BuildEngine>();
                    engine = Some(read.map_err(|error| wrong(number, &error.to_string()))?);
                }
                ["epoch", seconds] => {
                    let read = seconds.parse::<u64>();
                    epoch = Some(read.map_err(|error| wrong(number, &error.to_string()))?);
                }
                ["package", name, version, architecture, sha256] => {
                    let sound = |text: &str, more: &str| {
                        text.starts_with(|c: char| c.is_ascii_alphanumeric())
                            && text
                                .chars()
                                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
                    };
                    if !sound(name, "+-.") || !sound(version, "+-.~:") || !sound(architecture, "-")
                    {
                        return Err(wrong(number, "it names no package of Debian"));
                    }
                    let sum = sha256.parse::<Sha256>();
                    let sha256 = sum.map_err(|error| wrong(number, &error.to_string()))?;
                    packages.push(LockedPackage {
                        name: (*name).to_owned(),
                        version: (*version).to_owned(),
                        architecture: (*architecture).to_owned(),
                        sha256,
                    });
                }
                _ => return Err(wrong(number, "it is neither engine, epoch nor package")),
            }
        }
        let end = text.lines().count();
        packages.sort();
        Ok(Self {
            engine: engine.ok_or_else(|| wrong(end, "no line names the engine"))?,
            epoch: epoch.ok_or_else(|| wrong(end, "no line names the epoch"))?,
            packages,
        })
    }
}

/// A text that is no list of packages.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct InvalidLock {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lock(version: &str) -> PackageLock {
        PackageLock {
            engine: BuildEngine::V20_10,
            epoch: 1_790_000_000,
            packages: vec![LockedPackage {
                name: "docker.io".to_owned(),
                version: version.to_owned(),
                architecture: "amd64".to_owned(),
                sha256: Sha256::of(b""),
            }],
        }
    }

    #[test]
    fn reads_what_it_writes_and_knows_the_engine() {
        for (version, engine) in [
            ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24"),
            ("1:26.1.5-1", "26.1.5"),
            ("20.10", "20.10"),
        ] {
            let lock = lock(version);
            assert_eq!(lock.to_string().parse(), Ok(lock.clone()));
            assert_eq!(lock.engine_version(), engine);
        }
        let package = &lock("1:2.0-1").packages[0];
        assert_eq!(package.file_name(), "docker.io_1%3a2.0-1_amd64.deb");
    }

    #[test]
    fn says_which_line_is_wrong() {
        for (text, line, word) in [
            ("", 1, "rmachine-iso 1"),
            ("rmachine-iso 1\nengine 19.03", 2, "20.10 and 26"),
            ("rmachine-iso 1\nengine 26\n", 3, "epoch"),
            ("rmachine-iso 1\n# x\nepoch soon", 3, "digit"),
            ("rmachine-iso 1\npackage a 1 amd64 x", 2, "SHA-256"),
            ("rmachine-iso 1\npackage ../a 1 amd64 x", 2, "no package"),
            ("rmachine-iso 1\npackage -oX=y 1 amd64 x", 2, "no package"),
            ("rmachine-iso 1\nhello", 2, "neither"),
        ] {
            let error = text.parse::<PackageLock>().unwrap_err();
            assert!(error.line == line && error.reason.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in "(rmachine-iso 1\n)?[ -~\n]{0,200}") {
            let _ = text.parse::<PackageLock>();
        }
    }
}
