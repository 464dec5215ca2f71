use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rmachine_driver::MachineName;
use rmachine_machine::{
    FileLock, Layout, Locked, is_locked, lock_file, make_private_dir, remove_dir,
    remove_unfinished, write_private,
};

use crate::{ClusterError, ClusterJournal};

/// The clusters of a store.
///
/// Reading takes no lock and never sees a part of a journal.
#[derive(Clone, Debug)]
pub struct Clusters {
    layout: Layout,
}

impl Clusters {
    /// The clusters of the store with this layout.
    pub fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
        }
    }

    /// The names of all clusters, in natural order.
    ///
    /// # Errors
    /// [`ClusterError::Io`].
    pub fn names(&self) -> Result<Vec<MachineName>, ClusterError> {
        let dir = self.layout.clusters_dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &dir)(error)),
        };
        let mut names: Vec<MachineName> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|name| self.layout.cluster_journal(name).is_file())
            .collect();
        names.sort_by(|a, b| natord::compare(a.as_str(), b.as_str()));
        Ok(names)
    }

    /// What is kept of a cluster; `None` where nothing is.
    ///
    /// # Errors
    /// [`ClusterError::Corrupt`]; [`ClusterError::Io`].
    pub fn load(&self, name: &MachineName) -> Result<Option<ClusterJournal>, ClusterError> {
        let path = self.layout.cluster_journal(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path)(error)),
        };
        let corrupt = |reason: String| ClusterError::Corrupt {
            name: name.clone(),
            path: path.clone(),
            reason,
        };
        let journal: ClusterJournal =
            serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))?;
        match journal.version() {
            ClusterJournal::VERSION => Ok(Some(journal)),
            version => Err(corrupt(format!(
                "it has version {version}, and only {} is known",
                ClusterJournal::VERSION
            ))),
        }
    }

    /// Whether a process works on a cluster at this moment. Writes nothing.
    ///
    /// # Errors
    /// [`ClusterError::Store`] when the lock cannot be read.
    pub fn is_worked_on(&self, name: &MachineName) -> Result<bool, ClusterError> {
        Ok(is_locked(&self.layout.cluster_lock(name))?)
    }

    /// Takes a cluster to change it, whether or not anything is kept of it.
    ///
    /// # Errors
    /// [`ClusterError::Busy`] when another process holds it for longer than `wait`; as
    /// [`Clusters::load`].
    pub fn take(&self, name: &MachineName, wait: Duration) -> Result<ClusterGuard, ClusterError> {
        let lock = match lock_file(&self.layout.cluster_lock(name), wait)? {
            Locked::Held(lock) => lock,
            Locked::Busy(holder) => {
                return Err(ClusterError::Busy {
                    name: name.clone(),
                    waited: wait,
                    holder,
                });
            }
        };
        let dir = self.layout.cluster_dir(name);
        remove_unfinished(&dir);
        Ok(ClusterGuard {
            name: name.clone(),
            path: self.layout.cluster_journal(name),
            dir,
            journal: Mutex::new(self.load(name)?),
            _lock: lock,
        })
    }
}

/// A cluster that is being changed: its lock, held, and its journal.
///
/// Every change is on disk when the call returns, and in memory only then.
#[derive(Debug)]
pub struct ClusterGuard {
    name: MachineName,
    dir: PathBuf,
    path: PathBuf,
    journal: Mutex<Option<ClusterJournal>>,
    _lock: FileLock,
}

impl ClusterGuard {
    /// The cluster.
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// What is kept of it now; `None` before anything was.
    pub fn journal(&self) -> Option<ClusterJournal> {
        self.with(|journal| journal.clone())
    }

    /// Begins to keep a journal, or changes the one that is kept.
    ///
    /// # Errors
    /// When it cannot be written; it is then as it was.
    pub fn keep(
        &self,
        new: impl FnOnce() -> ClusterJournal,
        change: impl FnOnce(&mut ClusterJournal),
    ) -> Result<(), ClusterError> {
        self.with(|journal| {
            let mut changed = journal.clone().unwrap_or_else(new);
            change(&mut changed);
            if journal.as_ref() != Some(&changed) {
                self.save(&changed)?;
                *journal = Some(changed);
            }
            Ok(())
        })
    }

    /// Changes the journal, if one is kept.
    ///
    /// # Errors
    /// As [`ClusterGuard::keep`].
    pub fn update(&self, change: impl FnOnce(&mut ClusterJournal)) -> Result<(), ClusterError> {
        match self.journal() {
            Some(journal) => self.keep(|| journal, change),
            None => Ok(()),
        }
    }

    /// Removes the journal. The machines that it names are not touched.
    ///
    /// # Errors
    /// [`ClusterError::Io`].
    pub fn forget(&self) -> Result<(), ClusterError> {
        self.with(|journal| {
            // The journal first: without it there is no cluster, whatever else stays.
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io("remove", &self.path)(error));
                }
                Ok(()) | Err(_) => {}
            }
            *journal = None;
            remove_dir(&self.dir)?;
            Ok(())
        })
    }

    fn save(&self, journal: &ClusterJournal) -> Result<(), ClusterError> {
        let text =
            serde_json::to_vec_pretty(journal).map_err(|source| ClusterError::Unwritable {
                name: self.name.clone(),
                source,
            })?;
        make_private_dir(&self.dir)?;
        write_private(&self.path, &text)?;
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<ClusterJournal>) -> T) -> T {
        // A change is laid in whole, so even after a panic it is one that was saved.
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut journal)
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ClusterError {
    let path = path.to_owned();
    move |source| ClusterError::Io {
        action,
        path,
        source,
    }
}
