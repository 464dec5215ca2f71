//! What a service keeps over a restart.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::DiscoveryError;

/// A file that is replaced as a whole; where there is none, everything is kept in memory alone.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: Option<PathBuf>,
    /// The revision that is on disk.
    saved: Mutex<u64>,
}

impl StateFile {
    /// A file that holds this revision.
    pub(crate) fn new(path: Option<PathBuf>, revision: u64) -> Self {
        Self {
            path,
            saved: Mutex::new(revision),
        }
    }

    /// Makes sure that a revision is on disk. Whoever finds a later one there does nothing, so
    /// many changes at once cost few writes.
    ///
    /// `current` gives the newest revision and its content.
    pub(crate) async fn save(
        &self,
        revision: u64,
        current: impl FnOnce() -> (u64, io::Result<Vec<u8>>),
    ) -> Result<(), DiscoveryError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut saved = self.saved.lock().await;
        if *saved >= revision {
            return Ok(());
        }
        let (newest, content) = current();
        let written = match content {
            Ok(content) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || write(&path, &content))
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error),
        };
        written.map_err(|source| unusable(path, source))?;
        *saved = newest;
        Ok(())
    }
}

/// What a file holds; nothing when it is not there.
pub(crate) fn read<T: DeserializeOwned + Default>(
    path: Option<&Path>,
) -> Result<T, DiscoveryError> {
    let Some(path) = path else {
        return Ok(T::default());
    };
    let read = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    };
    read.map_err(|source| unusable(path, source))
}

/// The error of a file that holds something else.
pub(crate) fn nonsense(path: Option<&Path>, detail: String) -> DiscoveryError {
    let source = io::Error::new(ErrorKind::InvalidData, detail);
    unusable(path.unwrap_or(Path::new("")), source)
}

/// Replaces the file: readers see the old content or the new, even if the power fails.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name lasts only when the directory is on disk.
    File::open(dir)?.sync_all()
}

fn unusable(path: &Path, source: io::Error) -> DiscoveryError {
    DiscoveryError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn save(file: &StateFile, revision: u64, newest: u64) -> Result<(), DiscoveryError> {
        let content = || (newest, Ok(format!("[{newest}]").into_bytes()));
        file.save(revision, content).await
    }

    #[tokio::test]
    async fn what_is_on_disk_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(read::<Vec<u64>>(Some(&path)).unwrap(), [0_u64; 0]);
        let file = StateFile::new(Some(path.clone()), 0);
        for (revision, newest, kept) in [(0, 1, vec![]), (1, 3, vec![3]), (2, 9, vec![3])] {
            save(&file, revision, newest).await.unwrap();
            assert_eq!(read::<Vec<u64>>(Some(&path)).unwrap(), kept);
        }
        save(&file, 4, 4).await.unwrap();
        assert_eq!(read::<Vec<u64>>(Some(&path)).unwrap(), [4]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_the_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("not there");
        let path = inner.join("state");
        let file = StateFile::new(Some(path.clone()), 0);
        assert!(matches!(
            save(&file, 1, 1).await,
            Err(DiscoveryError::File { .. })
        ));
        std::fs::create_dir(&inner).unwrap();
        save(&file, 1, 1).await.unwrap();
        assert_eq!(read::<Vec<u64>>(Some(&path)).unwrap(), [1]);
    }

    #[test]
    fn something_else_is_no_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(
            read::<Vec<u64>>(Some(&path)),
            Err(DiscoveryError::File { .. })
        ));
        assert_eq!(read::<Vec<u64>>(None).unwrap(), [0_u64; 0]);
    }
}
