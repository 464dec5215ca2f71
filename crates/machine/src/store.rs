use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rmachine_driver::{DriverContext, FirstContact, MachineName};
use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

use crate::certificates::read_text;
use crate::lock::is_locked;
use crate::record::Unreadable;
use crate::{
    CertificateLock, CertificateOverrides, CertificatePaths, Layout, MachineFile, MachineGuard,
    MachineLock, Phase, Record, StoreError, atomic,
};

/// docker-machine removes a record before it puts the new one in its place; whoever reads in
/// between looks again, this often and after this pause.
const LOOKS: u32 = 4;
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The store of machines on disk.
///
/// Reading takes no lock and never sees a part of a file. Changing a machine takes its lock,
/// through [`Store::create`] or [`Store::edit`]. All calls block the thread; those that take a
/// lock do so for as long as they were told to wait.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
}

/// One machine of [`Store::list`].
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: MachineName,
    /// Its record, or why there is none to be had.
    pub record: Result<Record, StoreError>,
}

impl Store {
    /// The store at this root, which is made absolute. Nothing is made until something is written.
    ///
    /// # Errors
    /// [`StoreError::Io`] for an empty path, or a relative one in a working directory that is gone.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let root = root.as_ref();
        let absolute = std::path::absolute(root).map_err(StoreError::io("find", root))?;
        Ok(Self {
            layout: Layout::new(absolute),
        })
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The driver context of a machine.
    pub fn driver_context(&self, name: &MachineName, first_contact: FirstContact) -> DriverContext {
        DriverContext {
            name: name.clone(),
            machine_dir: self.layout.machine_dir(name),
            store_dir: self.layout.root().to_owned(),
            first_contact,
        }
    }

    /// What to do when a machine is connected to while no host key of it is pinned.
    ///
    /// A machine that rmachine has reached has a pin, so a missing one was lost or removed. One
    /// that docker-machine made has none before rmachine connects to it.
    pub fn first_contact(&self, record: &Record) -> FirstContact {
        let known_hosts = self
            .layout
            .machine_file(record.name(), MachineFile::KnownHosts);
        let journal = &record.own.journal;
        if !journal.is_done(Phase::Reachable)
            || (journal.is_made_elsewhere() && !known_hosts.exists())
        {
            FirstContact::Pin
        } else {
            FirstContact::Reject
        }
    }

    /// Opens a machine, or the record of one that does not exist, for a dry run: nothing is locked,
    /// and changes stay in memory.
    pub fn preview(&self, record: Record) -> MachineGuard {
        MachineGuard::preview(self.clone(), record)
    }

    /// Where the certificates lie that all machines share.
    pub fn certificates(&self, overrides: &CertificateOverrides) -> CertificatePaths {
        CertificatePaths::new(&self.layout, overrides)
    }

    /// The names of all machines, in natural order: `m2` before `m10`. Directories whose names
    /// are no machine names are passed over.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn names(&self) -> Result<Vec<MachineName>, StoreError> {
        let dir = self.layout.machines_dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", dir)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", &dir))?;
            let name = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(name) = name
                && entry.path().is_dir()
            {
                names.push(name);
            }
        }
        names.sort_by(|a: &MachineName, b| natord::compare(a.as_str(), b.as_str()));
        Ok(names)
    }

    /// All machines in natural order, those whose records cannot be read among them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the store itself cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let listed = self.names()?.into_iter().filter_map(|name| {
            let record = self.load(&name);
            // Removed since its name was read.
            let gone = matches!(record, Err(StoreError::NotFound { .. }));
            (!gone).then_some(Listed { name, record })
        });
        Ok(listed.collect())
    }

    /// Whether there is a machine of this name, readable or not.
    pub fn contains(&self, name: &MachineName) -> bool {
        self.layout.machine_dir(name).is_dir()
    }

    /// Reads a machine's record.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Corrupt`] and [`StoreError::FromTheFuture`] for a
    /// record that cannot be read; [`StoreError::Io`].
    pub fn load(&self, name: &MachineName) -> Result<Record, StoreError> {
        let path = self.layout.record(name);
        let text = self.read_record(name, &path)?;
        Record::parse(&self.layout, name, &text).map_err(|unreadable| match unreadable {
            Unreadable::Corrupt(reason) => StoreError::Corrupt {
                name: name.clone(),
                path,
                reason,
            },
            Unreadable::FromTheFuture(version) => StoreError::FromTheFuture {
                name: name.clone(),
                path,
                version,
                known: Record::VERSION,
            },
        })
    }

    /// Reads a machine's file as text; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read_file(
        &self,
        name: &MachineName,
        file: MachineFile,
    ) -> Result<Option<String>, StoreError> {
        read_text(&self.layout.machine_file(name, file))
    }

    /// Makes a machine: takes its lock and writes its first record.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Busy`] when another process makes or removes a
    /// machine of this name for longer than `wait`; [`StoreError::Io`].
    pub fn create(&self, record: Record, wait: Duration) -> Result<MachineGuard, StoreError> {
        let lock = self.lock_machine(record.name(), wait)?;
        self.make_dir(&lock, &record)?;
        Ok(MachineGuard::new(self.clone(), lock, record))
    }

    /// Takes a machine to change it: its lock, then its record.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process holds the machine for longer than `wait`, and as
    /// [`Store::load`].
    pub fn edit(&self, name: &MachineName, wait: Duration) -> Result<MachineGuard, StoreError> {
        // Asked first, so that a name that was mistyped leaves no lock file.
        if !self.contains(name) {
            return Err(StoreError::NotFound { name: name.clone() });
        }
        let lock = self.lock_machine(name, wait)?;
        let record = self.load(name)?;
        atomic::remove_unfinished(&self.layout.machine_dir(name));
        Ok(MachineGuard::new(self.clone(), lock, record))
    }

    /// Takes a machine's lock alone; the machine need not be there or have a readable record.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; [`StoreError::Io`].
    pub fn lock_machine(
        &self,
        name: &MachineName,
        wait: Duration,
    ) -> Result<MachineLock, StoreError> {
        MachineLock::acquire(&self.layout.machine_lock(name), name, wait)
    }

    /// Whether somebody works on a machine at this moment: another process, or another part of this
    /// one. Who was killed does not.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn is_worked_on(&self, name: &MachineName) -> Result<bool, StoreError> {
        is_locked(&self.layout.machine_lock(name))
    }

    /// Takes the lock of the shared certificates. Whoever holds a machine's lock may take it too;
    /// never the other way round.
    ///
    /// # Errors
    /// [`StoreError::CertificatesBusy`]; [`StoreError::Io`].
    pub fn lock_certificates(&self, wait: Duration) -> Result<CertificateLock, StoreError> {
        let lock = CertificateLock::acquire(&self.layout.certificates_lock(), wait)?;
        atomic::remove_unfinished(&self.layout.certs_dir());
        Ok(lock)
    }

    /// Removes a machine with all its files. One that is gone is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, lock: &MachineLock) -> Result<(), StoreError> {
        let dir = self.layout.machine_dir(lock.name());
        let discarded = self.layout.discarded_dir(lock.name());
        atomic::remove_dir(&discarded)?;
        if dir.exists() {
            // In one stroke: a machine is there with its record, or not at all.
            atomic::rename_dir(&dir, &discarded).map_err(StoreError::io("remove", &dir))?;
        }
        atomic::remove_dir(&discarded)
    }

    /// Writes the record of a machine that is there. When it replaces one of an older version,
    /// that one is kept beside it.
    pub(crate) fn save(&self, lock: &MachineLock, record: &mut Record) -> Result<(), StoreError> {
        let name = lock.name();
        if !self.contains(name) {
            return Err(StoreError::NotFound { name: name.clone() });
        }
        let path = self.layout.record(name);
        let text = text(record)?;
        if record.migrated {
            let old = self.read_record(name, &path)?;
            let backup = self.layout.record_backup(name);
            atomic::write_private(&backup, &old)?;
        }
        atomic::write_private(&path, &text)?;
        record.migrated = false;
        Ok(())
    }

    /// Makes the directory of a machine with its first record in it, in one stroke: whoever is
    /// killed here leaves a directory that no one takes for a machine.
    fn make_dir(&self, lock: &MachineLock, record: &Record) -> Result<(), StoreError> {
        let name = lock.name();
        if self.contains(name) {
            return Err(StoreError::Exists { name: name.clone() });
        }
        let unfinished = self.layout.unfinished_dir(name);
        atomic::remove_dir(&unfinished)?;
        atomic::make_private_dir(&unfinished)?;
        atomic::write_private(&self.layout.unfinished_record(name), &text(record)?)?;
        let dir = self.layout.machine_dir(name);
        atomic::rename_dir(&unfinished, &dir).map_err(|error| match error.kind() {
            // docker-machine knows no lock and may have been faster.
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => {
                StoreError::Exists { name: name.clone() }
            }
            _ => StoreError::io("make", dir)(error),
        })
    }

    fn read_record(&self, name: &MachineName, path: &Path) -> Result<Vec<u8>, StoreError> {
        for look in 1.. {
            match fs::read(path) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read", path)(error)),
            }
            if !self.contains(name) {
                return Err(StoreError::NotFound { name: name.clone() });
            }
            if look == LOOKS {
                break;
            }
            thread::sleep(PAUSE_BETWEEN_LOOKS);
        }
        Err(StoreError::Corrupt {
            name: name.clone(),
            path: path.to_owned(),
            reason: "there is no such file".to_owned(),
        })
    }
}

/// The record as docker-machine lays it out: indented by four spaces.
fn text(record: &Record) -> Result<Vec<u8>, StoreError> {
    let unwritable = |source| StoreError::Unwritable {
        name: record.name().clone(),
        source,
    };
    let json = record.to_json().map_err(unwritable)?;
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b"    ");
    json.serialize(&mut Serializer::with_formatter(&mut text, indented))
        .map_err(unwritable)?;
    Ok(text)
}
