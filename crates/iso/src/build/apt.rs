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
use crate::cache::sync;

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
        let missing = self.missing(&chosen, report).await?;
        self.fetch(&missing, report).await?;
        Ok(self.with_files(&chosen))
    }

    /// The packages of a list: those of the cache, the rest from the archive.
    pub(super) async fn locked(
        &self,
        lock: &PackageLock,
        report: &dyn Report,
    ) -> Result<Vec<Fetched>, BuildError> {
        let missing = self.missing(&lock.packages, report).await?;
        if !missing.is_empty() {
            self.update(report).await?;
            self.fetch(&missing, report).await?;
        }
        Ok(self.with_files(&lock.packages))
    }

    /// The packages that the cache does not have, or not as they should be: a file may have been
    /// cut off with the power.
    async fn missing<'p>(
        &self,
        packages: &'p [LockedPackage],
        report: &dyn Report,
    ) -> Result<Vec<&'p LockedPackage>, BuildError> {
        let mut missing = Vec::new();
        for package in packages {
            let path = self.file_of(package);
            if !path.is_file() {
                missing.push(package);
            } else if checksum(&path).await? != package.sha256 {
                let path = path.display();
                report.warn(&format!(
                    "{path} has the wrong checksum; it is fetched anew"
                ));
                missing.push(package);
            }
        }
        Ok(missing)
    }

    fn with_files(&self, packages: &[LockedPackage]) -> Vec<Fetched> {
        let with_file = |package: &LockedPackage| (package.clone(), self.file_of(package));
        packages.iter().map(with_file).collect()
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

    /// Fetches packages into the cache; one with the wrong checksum does not get there.
    async fn fetch(
        &self,
        missing: &[&LockedPackage],
        report: &dyn Report,
    ) -> Result<(), BuildError> {
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
            let actual = checksum(&from).await?;
            if actual != package.sha256 {
                return Err(BuildError::Package {
                    package: package.as_argument(),
                    expected: package.sha256,
                    actual,
                });
            }
            sync(&from)?;
            fs::rename(&from, self.file_of(package)).map_err(BuildError::io("move", from))?;
        }
        Ok(sync(self.work.packages())?)
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
            // What it prints beside a URI, in place of an MD5 sum.
            "Acquire::ForceHash=SHA256".to_owned(),
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

/// The package of a line of `--print-uris`: `'URI' NAME_VERSION_ARCH.deb SIZE SHA256:SUM`.
fn parse_uri_line(line: &str) -> Option<LockedPackage> {
    let mut words = line.split_once("' ")?.1.split(' ');
    let (file, _size, sum) = (words.next()?, words.next()?, words.next()?);
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let package = LockedPackage {
        name: parts.next()?.to_owned(),
        version: percent_decode_str(parts.next()?)
            .decode_utf8()
            .ok()?
            .into_owned(),
        architecture: parts.next()?.to_owned(),
        sha256: sum.strip_prefix("SHA256:")?.parse().ok()?,
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
mod tests;
