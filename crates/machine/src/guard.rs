use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmachine_driver::{
    DriverConfig, DriverContext, DriverError, FirstContact, MachineName, Operation, Resource,
    ResourceJournal,
};
use time::OffsetDateTime;

use crate::{
    CertificateLock, Journal, MachineFile, MachineLock, Phase, Record, Store, StoreError, atomic,
};

/// A machine that is being changed: its lock, held, and its record.
///
/// Every change is on disk when the call returns, and in memory only then. The guard can be shared
/// with a driver as its [`ResourceJournal`] while the caller goes on using it.
///
/// The guard of a dry run ([`Store::preview`]) keeps every change in memory.
#[derive(Debug)]
pub struct MachineGuard {
    store: Store,
    name: MachineName,
    access: Access,
    record: Mutex<Record>,
}

/// Where changes go.
#[derive(Debug)]
enum Access {
    /// To the store.
    Locked(MachineLock),
    /// Nowhere: the files that were changed, `None` for those that were removed.
    Preview(Mutex<HashMap<MachineFile, Option<Vec<u8>>>>),
}

impl MachineGuard {
    pub(crate) fn new(store: Store, lock: MachineLock, record: Record) -> Self {
        Self {
            store,
            name: lock.name().clone(),
            access: Access::Locked(lock),
            record: Mutex::new(record),
        }
    }

    pub(crate) fn preview(store: Store, record: Record) -> Self {
        Self {
            store,
            name: record.name().clone(),
            access: Access::Preview(Mutex::default()),
            record: Mutex::new(record),
        }
    }

    /// Whether this is the guard of a dry run.
    pub fn is_preview(&self) -> bool {
        matches!(self.access, Access::Preview(_))
    }

    /// The machine.
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// The store that the machine is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The context of the machine's driver, as its record is now.
    pub fn driver_context(&self) -> DriverContext {
        let first_contact = self.with_record(|record| self.store.first_contact(record));
        let first_contact = match first_contact {
            FirstContact::Pin if self.is_preview() => FirstContact::Accept,
            other => other,
        };
        self.store.driver_context(self.name(), first_contact)
    }

    /// Takes the lock of the shared certificates; in a dry run, one under which writes are
    /// discarded.
    ///
    /// # Errors
    /// As [`Store::lock_certificates`].
    pub fn lock_certificates(&self, wait: Duration) -> Result<CertificateLock, StoreError> {
        match &self.access {
            Access::Locked(_) => self.store.lock_certificates(wait),
            Access::Preview(_) => Ok(CertificateLock::preview()),
        }
    }

    /// The record as it is now.
    pub fn record(&self) -> Record {
        self.with_record(|record| record.clone())
    }

    /// How far the machine has come.
    pub fn journal(&self) -> Journal {
        self.with_record(|record| record.own.journal.clone())
    }

    /// Changes the record and saves it.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Unwritable`]. The record is then as it was.
    pub fn update(&self, change: impl FnOnce(&mut Record)) -> Result<(), StoreError> {
        self.with_record(|record| {
            let mut changed = record.clone();
            change(&mut changed);
            if changed != *record || changed.migrated {
                if let Access::Locked(lock) = &self.access {
                    self.store.save(lock, &mut changed)?;
                }
                *record = changed;
            }
            Ok(())
        })
    }

    /// Saves the driver's settings.
    ///
    /// # Errors
    /// As [`MachineGuard::update`].
    pub fn set_driver(&self, driver: DriverConfig) -> Result<(), StoreError> {
        self.update(|record| record.driver = driver)
    }

    /// Notes that work on a phase begins; neither it nor any later phase is done from here on.
    ///
    /// # Errors
    /// As [`MachineGuard::update`].
    pub fn begin(&self, phase: Phase) -> Result<(), StoreError> {
        self.update(|record| record.own.journal.begin(phase, now()))
    }

    /// Notes that a phase is done.
    ///
    /// # Errors
    /// As [`MachineGuard::update`].
    pub fn done(&self, phase: Phase) -> Result<(), StoreError> {
        self.update(|record| record.own.journal.done(phase, now()))
    }

    /// Notes that work on a phase ended with an error; the message holds no secret.
    ///
    /// # Errors
    /// As [`MachineGuard::update`].
    pub fn failed(&self, phase: Phase, message: impl Into<String>) -> Result<(), StoreError> {
        let message = message.into();
        self.update(|record| {
            record.own.journal.failed(phase, message, now());
        })
    }

    /// Reads one of the machine's files as text; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read_file(&self, file: MachineFile) -> Result<Option<String>, StoreError> {
        if let Some(changed) = self.changed_files()
            && let Some(content) = changed.get(&file)
        {
            let text = content.as_ref().map(|it| String::from_utf8_lossy(it));
            return Ok(text.map(Into::into));
        }
        self.store.read_file(self.name(), file)
    }

    /// Writes one of the machine's files whole, private keys with mode 0600.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_file(&self, file: MachineFile, content: &[u8]) -> Result<(), StoreError> {
        if let Some(mut changed) = self.changed_files() {
            changed.insert(file, Some(content.to_owned()));
            return Ok(());
        }
        let path = self.store.layout().machine_file(self.name(), file);
        if file.is_private() {
            atomic::write_private(&path, content)
        } else {
            atomic::write_public(&path, content)
        }
    }

    /// Removes one of the machine's files, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_file(&self, file: MachineFile) -> Result<(), StoreError> {
        if let Some(mut changed) = self.changed_files() {
            changed.insert(file, None);
            return Ok(());
        }
        let path = self.store.layout().machine_file(self.name(), file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the machine with all its files, and lets go of its lock.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(self) -> Result<(), StoreError> {
        match &self.access {
            Access::Locked(lock) => self.store.remove(lock),
            Access::Preview(_) => Ok(()),
        }
    }

    /// The files that a dry run changed; `None` outside of dry runs.
    fn changed_files(&self) -> Option<MutexGuard<'_, HashMap<MachineFile, Option<Vec<u8>>>>> {
        match &self.access {
            Access::Locked(_) => None,
            Access::Preview(files) => Some(files.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn with_record<T>(&self, work: impl FnOnce(&mut Record) -> T) -> T {
        // A change is laid into the record whole, so even after a panic it is one that was saved.
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut record)
    }
}

impl ResourceJournal for MachineGuard {
    fn about_to_make(&self, resource: &Resource) -> Result<(), DriverError> {
        self.update(|record| {
            if !record.own.owned.contains(resource) {
                record.own.owned.push(resource.clone());
            }
        })
        .map_err(|error| unrecorded(Operation::Create, error))
    }

    fn removed(&self, resource: &Resource) -> Result<(), DriverError> {
        self.update(|record| record.own.owned.retain(|owned| owned != resource))
            .map_err(|error| unrecorded(Operation::Remove, error))
    }

    fn owned(&self) -> Vec<Resource> {
        self.with_record(|record| record.own.owned.clone())
    }
}

fn unrecorded(operation: Operation, error: StoreError) -> DriverError {
    DriverError::Backend {
        operation,
        message: "the machine's record could not be written".to_owned(),
        hint: None,
        source: Some(Box::new(error)),
    }
}

/// Milliseconds tell phases apart; more only makes the record harder to read.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().truncate_to_millisecond()
}
