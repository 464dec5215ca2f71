//! The directory of ISOs that every process shares.
//!
//! ```text
//! NAME.iso        an ISO, whole; one that somebody put there by hand is as good
//! NAME.json       where it is from and its checksum; never required
//! .NAME.lock      held while the ISO is made or removed
//! .NAME.part      a download that is not whole, with .NAME.part.json: what it is a part of
//! ```

mod import;
mod obtain;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rmachine_driver::Report;

use crate::image::Head;
use crate::lock::{Held, Waiting};
use crate::name::ENDING;
use crate::note::Note;
use crate::{IsoError, IsoName, Sha256};

/// How long the process that makes an ISO may make no headway while others wait for it: its own
/// attempts to go on with a download take less.
const PATIENCE: Duration = Duration::from_secs(300);

/// The ISOs in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cache {
    dir: PathBuf,
    patience: Duration,
}

/// An ISO that is there, whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Iso {
    /// Its name in the cache.
    pub name: IsoName,
    /// The file.
    pub path: PathBuf,
    /// How long it is, in bytes.
    pub size: u64,
    /// The volume's label, such as `Boot2Docker-v19.03.12`.
    pub label: String,
    /// Where it is from, if that is known: a URL, or the path of a file.
    pub source: Option<String>,
    /// Its checksum, if it was computed since the file has last changed.
    pub sha256: Option<Sha256>,
}

/// What the cache has under a name: an ISO, or a file that is none.
pub type Listed = (IsoName, Result<Iso, IsoError>);

/// What [`Cache::verify`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The ISO, with the checksum that it has.
    pub iso: Iso,
    /// The checksum that it had when it came here, if somebody wrote it down.
    pub recorded: Option<Sha256>,
}

impl Cache {
    /// The cache in this directory, which is made when something is put there.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            patience: PATIENCE,
        }
    }

    /// The same, for somebody who waits no longer than this for a process without headway.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that is called `NAME.iso`, by name.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, IsoError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(IsoError::io("read", &self.dir))?,
        };
        let mut names: Vec<IsoName> = entries
            .flatten()
            .filter_map(|entry| {
                let file = entry.file_name().into_string().ok()?;
                file.ends_with(ENDING).then(|| file.parse().ok())?
            })
            .collect();
        names.sort();
        let looked_at = names
            .into_iter()
            .map(|name| (name.clone(), self.named(&name)));
        Ok(looked_at.collect())
    }

    /// The ISO of this name.
    ///
    /// # Errors
    /// [`IsoError::Unknown`] when there is none, [`IsoError::NotAnIso`] when the file is not whole.
    pub fn named(&self, name: &IsoName) -> Result<Iso, IsoError> {
        let path = self.path(name);
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(IsoError::Unknown {
                    name: name.clone(),
                    cache: self.dir.clone(),
                });
            }
            metadata => metadata.map_err(IsoError::io("read", &path))?,
        };
        let head = Head::read(&path).map_err(|error| match error {
            IsoError::NotAnIso { path, reason, .. } => IsoError::NotAnIso {
                path,
                reason,
                cached: Some(name.clone()),
            },
            error => error,
        })?;
        let note = Note::read(&self.note(name)).filter(|note| note.sha256_of(&metadata).is_some());
        Ok(Iso {
            name: name.clone(),
            size: metadata.len(),
            label: head.label,
            sha256: note.as_ref().and_then(|note| note.sha256_of(&metadata)),
            source: note.and_then(|note| note.source),
            path,
        })
    }

    /// Computes the checksum of an ISO anew. What was never written down is written down now.
    ///
    /// # Errors
    /// As [`Cache::named`]; [`IsoError::Checksum`] when it is not what it was.
    pub async fn verify(&self, name: &IsoName, report: &dyn Report) -> Result<Verdict, IsoError> {
        let _lock = self.lock(name, report).await?;
        let iso = self.named(name)?;
        report.step(&format!("reading {}", iso.path.display()));
        let actual = Sha256::of_file(&iso.path)
            .await
            .map_err(IsoError::io("read", &iso.path))?;
        let note = Note::read(&self.note(name));
        match note.as_ref().and_then(Note::sha256) {
            Some(expected) if expected != actual => Err(IsoError::Checksum {
                what: iso.path.display().to_string(),
                expected,
                actual,
                cached: Some(name.clone()),
            }),
            recorded => {
                // Where it is from stays true, also when the file's date has changed.
                let source = note.and_then(|note| note.source);
                self.settle(name, actual, source.clone())?;
                Ok(Verdict {
                    iso: Iso {
                        sha256: Some(actual),
                        source,
                        ..iso
                    },
                    recorded,
                })
            }
        }
    }

    /// Removes an ISO, whole or not, and what of a download is there.
    ///
    /// # Errors
    /// [`IsoError::Unknown`] when there is nothing of this name.
    pub async fn remove(&self, name: &IsoName, report: &dyn Report) -> Result<(), IsoError> {
        if !self.path(name).exists() && !self.part(name).exists() {
            return Err(IsoError::Unknown {
                name: name.clone(),
                cache: self.dir.clone(),
            });
        }
        let _lock = self.lock(name, report).await?;
        crate::download::discard(&self.part(name)).await?;
        for path in [self.path(name), self.note(name)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(IsoError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes what an ISO is that is in its place.
    fn settle(
        &self,
        name: &IsoName,
        sha256: Sha256,
        source: Option<String>,
    ) -> Result<(), IsoError> {
        Note::of(&self.path(name), sha256, source)?.write(&self.note(name))
    }

    /// Gives a file in the cache's directory that is whole its name, once it is on the disk. The note
    /// comes first: an ISO without one would be taken for one that was put there by hand.
    fn place(
        &self,
        file: &Path,
        name: &IsoName,
        sha256: Sha256,
        source: Option<String>,
    ) -> Result<Iso, IsoError> {
        sync(file)?;
        Note::of(file, sha256, source)?.write(&self.note(name))?;
        self.rename(file, name)
    }

    /// Goes on with a download that was whole, and noted, when its process was killed.
    async fn place_noted(&self, name: &IsoName) -> Result<(), IsoError> {
        let part = self.part(name);
        let is_noted =
            |metadata| Some(Note::read(&self.note(name))?.sha256_of(&metadata).is_some());
        if fs::metadata(&part).ok().and_then(is_noted) == Some(true) {
            self.rename(&part, name)?;
            crate::download::discard(&part).await?;
        }
        Ok(())
    }

    /// Gives a file its name for good.
    fn rename(&self, file: &Path, name: &IsoName) -> Result<Iso, IsoError> {
        let path = self.path(name);
        fs::rename(file, &path).map_err(IsoError::io("write", &path))?;
        #[cfg(unix)]
        sync(&self.dir)?;
        self.named(name)
    }

    async fn lock(&self, name: &IsoName, report: &dyn Report) -> Result<Held, IsoError> {
        self.make_dir()?;
        Waiting {
            lock: &self.hidden(name, "lock"),
            what: &format!("the ISO {name}"),
            watched: &self.part(name),
            patience: self.patience,
        }
        .acquire(report)
        .await
    }

    fn make_dir(&self) -> Result<(), IsoError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&self.dir)
            .map_err(IsoError::io("make the directory", &self.dir))
    }

    fn path(&self, name: &IsoName) -> PathBuf {
        self.dir.join(format!("{name}{ENDING}"))
    }

    fn note(&self, name: &IsoName) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn part(&self, name: &IsoName) -> PathBuf {
        self.hidden(name, "part")
    }

    fn hidden(&self, name: &IsoName, ending: &str) -> PathBuf {
        self.dir.join(format!(".{name}.{ending}"))
    }
}

/// Sees to it that a file, or the names in a directory, outlive a power cut.
pub(crate) fn sync(path: &Path) -> Result<(), IsoError> {
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(IsoError::io("write", path))
}
