//! Debian's packages: which are needed, and their files. apt does it, with this computer's proxies
//! and keys, but with a list of sources and a state of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rmachine_driver::Report;

use super::engine::BuildEngine;
use super::program::{Run, Runner};
use super::work::Work;
use super::{BuildError, LockedPackage, PackageLock};
use crate::Sha256;

const WANTED: &str = include_str!("../../../../templates/iso/packages");
const WITHOUT: &str = include_str!("../../../../templates/iso/without");

const ASK_LIMIT: Duration = Duration::from_secs(60);
const UPDATE_LIMIT: Duration = Duration::from_secs(600);
/// For some 120 MB over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(3600);

/// A package and its file.
pub(super) type Fetched = (LockedPackage, PathBuf);

/// What asks for packages.
pub(super) struct Apt<'a> {
    pub runner: &'a Runner,
    pub work: &'a Work,
    pub engine: BuildEngine,
    pub archive: Option<&'a str>,
}

impl Apt<'_> {
    /// The newest packages that the archive has.
    pub(super) async fn newest(&self, report: &dyn Report) -> Result<Vec<Fetched>, BuildError> {
        self.update(report).await?;
        let wanted = lines(WANTED).chain(self.engine.packages().iter().copied());
        let mut args = self.options();
        args.extend(["--print-uris", "-qq", "install"].map(str::to_owned));
        args.extend(wanted.map(str::to_owned));
        let run = Run::new(
            "apt-get",
            "choosing packages",
            self.work.packages(),
            ASK_LIMIT,
        );
        let said = self.runner.run(run, args).await?;
        let without: Vec<&str> = lines(WITHOUT).collect();
        let mut chosen = Vec::new();
        for line in String::from_utf8_lossy(&said).lines() {
            let package = parse_uri_line(line).ok_or_else(|| BuildError::Unintelligible {
                program: "apt-get",
                said: line.to_owned(),
            })?;
            if !without.contains(&package.name.as_str()) {
                chosen.push(package);
            }
        }
        chosen.sort();
        self.fetch(&chosen, report).await?;
        let mut fetched = Vec::new();
        for package in chosen {
            let path = self.file_of(&package);
            let sha256 = checksum(&path).await?.to_string();
            fetched.push((LockedPackage { sha256, ..package }, path));
        }
        Ok(fetched)
    }

    /// The packages of a list: those of the cache, the rest from the archive.
    pub(super) async fn locked(
        &self,
        lock: &PackageLock,
        report: &dyn Report,
    ) -> Result<Vec<Fetched>, BuildError> {
        let missing = |package: &&LockedPackage| !self.file_of(package).is_file();
        if lock.packages.iter().any(|package| missing(&package)) {
            self.update(report).await?;
            self.fetch(&lock.packages, report).await?;
        }
        let mut fetched = Vec::new();
        for package in &lock.packages {
            let path = self.file_of(package);
            let actual = checksum(&path).await?;
            match package.sha256.parse::<Sha256>() {
                Ok(expected) if expected != actual => {
                    // It must not stand in the way of the right one.
                    fs::remove_file(&path).map_err(BuildError::io("remove", &path))?;
                    return Err(BuildError::Package {
                        package: package.as_argument(),
                        expected,
                        actual,
                    });
                }
                _ => fetched.push((package.clone(), path)),
            }
        }
        Ok(fetched)
    }

    /// Tells apt what the archive has.
    async fn update(&self, report: &dyn Report) -> Result<(), BuildError> {
        report.step("asking the archive for its packages");
        let archives = self.archives().await?;
        if archives.security.is_none() {
            report.warn("this computer's apt names no archive of Debian's security updates");
        }
        for dir in [
            "apt/lists/partial",
            "apt/cache/archives/partial",
            "apt/empty",
            "fetched",
        ] {
            self.work.make_dir(dir)?;
        }
        let suite = self.engine.suite();
        let mut sources = format!("deb {} {suite} main\n", archives.main);
        if let Some(security) = archives.security {
            sources.push_str(&format!("deb {security} {suite}-security main\n"));
        }
        for (name, text) in [("apt/sources.list", sources.as_str()), ("apt/status", "")] {
            let path = self.work.path(name);
            fs::write(&path, text).map_err(BuildError::io("write", path))?;
        }
        let mut args = self.options();
        args.extend(["-qq", "update"].map(str::to_owned));
        let dir = self.work.packages();
        let run = Run::new("apt-get", "asking the archive", dir, UPDATE_LIMIT);
        self.runner.run(run, args).await.map(drop)
    }

    /// Fetches what the cache of packages does not have.
    async fn fetch(
        &self,
        packages: &[LockedPackage],
        report: &dyn Report,
    ) -> Result<(), BuildError> {
        let missing: Vec<&LockedPackage> = packages
            .iter()
            .filter(|package| !self.file_of(package).is_file())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        report.step(&format!("fetching {} packages", missing.len()));
        let dir = self.work.path("fetched");
        let mut args = self.options();
        args.extend(["-qq", "download"].map(str::to_owned));
        args.extend(missing.iter().map(|package| package.as_argument()));
        let run = Run::new("apt-get", "fetching packages", &dir, FETCH_LIMIT);
        self.runner
            .run(run, args)
            .await
            .map_err(|error| match error {
                BuildError::Program { said, .. } if said.contains("was not found") => {
                    let gone = missing.iter().find(|package| {
                        said.contains(&format!("'{}'", package.version))
                            && said.contains(&format!("'{}'", package.name))
                    });
                    BuildError::Vanished {
                        package: gone.map_or_else(|| said.clone(), |package| package.as_argument()),
                    }
                }
                error => error,
            })?;
        for package in missing {
            let from = dir.join(package.file_name());
            let to = self.file_of(package);
            fs::rename(&from, &to).map_err(BuildError::io("move", from))?;
        }
        Ok(())
    }

    /// What every call of apt-get here is told: nothing of this computer's own packages counts.
    fn options(&self) -> Vec<String> {
        let path = |name: &str| self.work.path(name).display().to_string();
        let mut options = Vec::new();
        for option in [
            format!("Dir::Etc::SourceList={}", path("apt/sources.list")),
            format!("Dir::Etc::SourceParts={}", path("apt/empty")),
            format!("Dir::Etc::Preferences={}", path("apt/none")),
            format!("Dir::Etc::PreferencesParts={}", path("apt/empty")),
            format!("Dir::State::Lists={}", path("apt/lists")),
            format!("Dir::State::status={}", path("apt/status")),
            format!("Dir::State::extended_states={}", path("apt/none")),
            format!("Dir::Cache={}", path("apt/cache")),
            "APT::Architecture=amd64".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "Debug::NoLocking=true".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    /// Where the packages are.
    async fn archives(&self) -> Result<Archives, BuildError> {
        let run = Run::new(
            "apt-get",
            "naming its archives",
            self.work.packages(),
            ASK_LIMIT,
        );
        let format = "$(ORIGIN)/$(LABEL)/$(COMPONENT) $(REPO_URI)";
        let said = self
            .runner
            .run(run, ["indextargets", "--format", format])
            .await?;
        let said = String::from_utf8_lossy(&said);
        let known = Archives::parse(&said);
        match (self.archive, known) {
            (Some(main), known) => Ok(Archives {
                main: main.to_owned(),
                security: known.and_then(|known| known.security),
            }),
            (None, Some(known)) => Ok(known),
            (None, None) => Err(BuildError::NoArchive),
        }
    }

    fn file_of(&self, package: &LockedPackage) -> PathBuf {
        self.work.packages().join(package.file_name())
    }
}

/// The places of Debian's archives.
#[derive(Debug, Eq, PartialEq)]
struct Archives {
    main: String,
    security: Option<String>,
}

impl Archives {
    /// Reads `ORIGIN/LABEL/COMPONENT URI` lines.
    fn parse(said: &str) -> Option<Self> {
        let uri = |what: &str| {
            let mut lines = said.lines().filter_map(|line| line.rsplit_once(' '));
            lines
                .find(|(from, _)| *from == what)
                .map(|(_, uri)| uri.to_owned())
        };
        Some(Self {
            main: uri("Debian/Debian/main")?,
            security: uri("Debian/Debian-Security/main"),
        })
    }
}

/// The package of a line of `--print-uris`: `'URI' NAME_VERSION_ARCH.deb SIZE SUM`.
fn parse_uri_line(line: &str) -> Option<LockedPackage> {
    let file = line.split_once("' ")?.1.split(' ').next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let package = LockedPackage {
        name: parts.next()?.to_owned(),
        version: percent_decode_str(parts.next()?)
            .decode_utf8()
            .ok()?
            .into_owned(),
        architecture: parts.next()?.to_owned(),
        sha256: String::new(),
    };
    parts.next().is_none().then_some(package)
}

async fn checksum(path: &Path) -> Result<Sha256, BuildError> {
    Sha256::of_file(path)
        .await
        .map_err(BuildError::io("read", path))
}

/// The lines of a list that are no comments.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_would_fetch() {
        let line = "'http://x/pool/o/openssh-client_9.2p1-2%2bdeb12u10_amd64.deb' \
                    openssh-client_1%3a9.2p1-2+deb12u10_amd64.deb 993532 MD5Sum:ee09";
        let package = parse_uri_line(line).unwrap();
        assert_eq!(package.as_argument(), "openssh-client=1:9.2p1-2+deb12u10");
        assert_eq!(
            package.file_name(),
            "openssh-client_1%3a9.2p1-2+deb12u10_amd64.deb"
        );
        for bad in [
            "",
            "E: no",
            "'http://x' a.deb 1",
            "'http://x' a_1_amd64_x.deb 1 S",
        ] {
            assert_eq!(parse_uri_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn finds_the_archives_that_apt_uses() {
        let said = "Debian/Debian-Security/main http://s/debian-security/\n\
                    Docker/Docker CE/stable https://d/\n\
                    Debian/Debian/contrib http://c/\nDebian/Debian/main http://m/debian/\n";
        let archives = Archives::parse(said).unwrap();
        assert_eq!(archives.main, "http://m/debian/");
        assert_eq!(
            archives.security.as_deref(),
            Some("http://s/debian-security/")
        );
        assert_eq!(Archives::parse("Ubuntu/Ubuntu/main http://u/\n"), None);
    }

    #[test]
    fn nothing_is_wanted_and_left_out() {
        let without: Vec<&str> = lines(WITHOUT).collect();
        assert!(lines(WANTED).all(|name| !without.contains(&name)));
    }
}
