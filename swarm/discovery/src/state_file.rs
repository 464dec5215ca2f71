//! State that a service keeps over a restart.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::DiscoveryError;

/// Minimum time between two writes: changes in between are written together at its end.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum size of a state file, in bytes.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// Returns the newest revision and its content.
type Snapshot = Box<dyn Fn() -> (u64, io::Result<Vec<u8>>) + Send + Sync>;

/// A file that is replaced as a whole. Without a path, the state is kept in memory alone.
pub(crate) struct StateFile {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    path: PathBuf,
    snapshot: Snapshot,
    written: Mutex<Written>,
}

struct Written {
    revision: u64,
    at: Option<Instant>,
    /// True while a task waits to write at the end of the interval.
    is_scheduled: bool,
}

impl StateFile {
    /// A file that holds this revision.
    pub(crate) fn new(
        path: Option<PathBuf>,
        revision: u64,
        snapshot: impl Fn() -> (u64, io::Result<Vec<u8>>) + Send + Sync + 'static,
    ) -> Self {
        let inner = path.map(|path| {
            Arc::new(Inner {
                path,
                snapshot: Box::new(snapshot),
                written: Mutex::new(Written {
                    revision,
                    at: None,
                    is_scheduled: false,
                }),
            })
        });
        Self { inner }
    }

    /// Waits until the file has this revision: it is written at once if the last write is long
    /// enough ago, else with others at the end of the interval, also if this call is dropped. Must
    /// be called within a runtime of tokio.
    ///
    /// # Errors
    /// [`DiscoveryError::File`]; the write is repeated in the background.
    pub(crate) async fn save(&self, revision: u64) -> Result<(), DiscoveryError> {
        while let Some(due) = self.save_soon(revision).await? {
            tokio::time::sleep_until(due).await;
        }
        Ok(())
    }

    /// Writes this revision at once if the last write is long enough ago; else returns when it will
    /// be written.
    ///
    /// # Errors
    /// As [`StateFile::save`].
    pub(crate) async fn save_soon(&self, revision: u64) -> Result<Option<Instant>, DiscoveryError> {
        let Some(inner) = &self.inner else {
            return Ok(None);
        };
        let mut written = inner.written.lock().await;
        if written.revision >= revision {
            return Ok(None);
        }
        let due = written.at.map(|at| at + INTERVAL);
        let Some(due) = due.filter(|due| *due > Instant::now()) else {
            inner.write(&mut written).await?;
            return Ok(None);
        };
        if !std::mem::replace(&mut written.is_scheduled, true) {
            tokio::spawn(Arc::clone(inner).write_later(due));
        }
        Ok(Some(due))
    }

    /// Writes what has not been written yet.
    ///
    /// # Errors
    /// [`DiscoveryError::File`].
    pub(crate) async fn flush(&self) -> Result<(), DiscoveryError> {
        match &self.inner {
            Some(inner) => inner.write(&mut *inner.written.lock().await).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    async fn write(&self, written: &mut Written) -> Result<(), DiscoveryError> {
        let (newest, content) = (self.snapshot)();
        if written.revision == newest {
            return Ok(());
        }
        let done = match content {
            Ok(content) => {
                let path = self.path.clone();
                tokio::task::spawn_blocking(move || replace(&path, &content))
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error),
        };
        done.map_err(|source| unusable(&self.path, source))?;
        written.revision = newest;
        written.at = Some(Instant::now());
        Ok(())
    }

    async fn write_later(self: Arc<Self>, mut due: Instant) {
        loop {
            tokio::time::sleep_until(due).await;
            let mut written = self.written.lock().await;
            // A waiting call may have written already.
            let next = written.at.map(|at| at + INTERVAL);
            if let Some(next) = next.filter(|next| *next > Instant::now()) {
                due = next;
                continue;
            }
            match self.write(&mut written).await {
                Ok(()) => {
                    written.is_scheduled = false;
                    return;
                }
                Err(error) => tracing::error!("the state is not saved yet: {error}"),
            }
            due = Instant::now() + INTERVAL;
        }
    }
}

/// Reads a state file; a missing one is empty state.
pub(crate) fn read<T: DeserializeOwned + Default>(
    path: Option<&Path>,
) -> Result<T, DiscoveryError> {
    let Some(path) = path else {
        return Ok(T::default());
    };
    let state = match content(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    };
    state.map_err(|source| unusable(path, source))
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The error of a file with unexpected content.
pub(crate) fn nonsense(path: Option<&Path>, detail: String) -> DiscoveryError {
    let source = io::Error::new(ErrorKind::InvalidData, detail);
    unusable(path.unwrap_or(Path::new("")), source)
}

/// Replaces the file: readers see the old content or the new, even if the power fails.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A file whose state is the list of its newest revision.
    fn counted(path: &Path) -> (StateFile, Arc<AtomicU64>) {
        let newest = Arc::new(AtomicU64::new(0));
        let current = Arc::clone(&newest);
        let file = StateFile::new(Some(path.to_owned()), 0, move || {
            let newest = current.load(Ordering::Relaxed);
            (newest, Ok(format!("[{newest}]").into_bytes()))
        });
        (file, newest)
    }

    fn on_disk(path: &Path) -> Vec<u64> {
        read(Some(path)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_disk_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(on_disk(&path), [0_u64; 0]);
        let (file, newest) = counted(&path);
        for (revision, current, kept) in [(0, 1, vec![]), (1, 3, vec![3]), (2, 9, vec![3])] {
            newest.store(current, Ordering::Relaxed);
            file.save(revision).await.unwrap();
            assert_eq!(on_disk(&path), kept);
        }
        tokio::time::sleep(INTERVAL).await;
        newest.store(10, Ordering::Relaxed);
        file.save(10).await.unwrap();
        assert_eq!(on_disk(&path), [10]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_within_the_interval_are_written_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (file, newest) = counted(&path);
        for revision in 1..=1000 {
            newest.store(revision, Ordering::Relaxed);
            file.save_soon(revision).await.unwrap();
            assert_eq!(on_disk(&path), [1]);
        }
        // Whoever waits returns when the change is on disk.
        file.save(1000).await.unwrap();
        assert_eq!(on_disk(&path), [1000]);
        // Whoever does not wait for the end is served, too.
        newest.store(1001, Ordering::Relaxed);
        let hasty = tokio::time::timeout(INTERVAL / 4, file.save(1001));
        hasty.await.unwrap_err();
        tokio::time::sleep(2 * INTERVAL).await;
        assert_eq!(on_disk(&path), [1001]);
        newest.store(1002, Ordering::Relaxed);
        file.save_soon(1002).await.unwrap();
        newest.store(1003, Ordering::Relaxed);
        file.save_soon(1003).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(on_disk(&path), [1003]);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_write_is_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("not there");
        let path = inner.join("state");
        let (file, newest) = counted(&path);
        newest.store(1, Ordering::Relaxed);
        assert!(matches!(
            file.save(1).await,
            Err(DiscoveryError::File { .. })
        ));
        std::fs::create_dir(&inner).unwrap();
        file.save(1).await.unwrap();
        assert_eq!(on_disk(&path), [1]);
        // In the background, too.
        std::fs::remove_dir_all(&inner).unwrap();
        newest.store(2, Ordering::Relaxed);
        file.save_soon(2).await.unwrap();
        tokio::time::sleep(2 * INTERVAL).await;
        std::fs::create_dir(&inner).unwrap();
        tokio::time::sleep(2 * INTERVAL).await;
        assert_eq!(on_disk(&path), [2]);
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
