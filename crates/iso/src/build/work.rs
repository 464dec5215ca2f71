//! The directory in which an image is made; it goes when the work ends, however it ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::BuildError;
use crate::Cache;

const PREFIX: &str = ".build-";
/// Locked as long as somebody works in the directory.
const ALIVE: &str = "alive";

/// The directory.
#[derive(Debug)]
pub(super) struct Work {
    dir: TempDir,
    packages: PathBuf,
    _alive: File,
}

impl Work {
    /// Makes the directory in the cache, and removes those of builds that were killed.
    pub(super) fn begin(cache: &Cache) -> Result<Self, BuildError> {
        let packages = cache.dir().join("packages");
        fs::create_dir_all(&packages).map_err(BuildError::io("make the directory", &packages))?;
        remove_abandoned(cache.dir());
        let failed = |error| BuildError::io("make a directory in", cache.dir())(error);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(cache.dir())
            .map_err(failed)?;
        let alive = File::create(dir.path().join(ALIVE)).map_err(failed)?;
        alive.lock().map_err(failed)?;
        Ok(Self {
            dir,
            packages,
            _alive: alive,
        })
    }

    /// A path in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory in the directory.
    pub(super) fn make_dir(&self, name: &str) -> Result<PathBuf, BuildError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(BuildError::io("make the directory", &path))?;
        Ok(path)
    }

    /// Where fetched packages are kept.
    pub(super) fn packages(&self) -> &Path {
        &self.packages
    }
}

fn remove_abandoned(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_build = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let alive = || {
            let file = File::open(path.join(ALIVE)).ok()?;
            file.try_lock().is_err().then_some(())
        };
        if is_build && alive().is_none() {
            // What cannot be removed harms nobody, and the next build tries again.
            fs::remove_dir_all(&path).ok();
        }
    }
}

/// Writes a text file, whole or not at all.
pub(super) fn write_beside(path: &Path, text: &str) -> Result<(), BuildError> {
    let written = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    written().map_err(BuildError::io("write", path))
}
