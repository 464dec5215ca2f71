use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rmachine_companion::{Architecture, Image, Search};
use rmachine_driver::{Driver, DriverContext, DriverKind, MachineName};
use rmachine_machine::{
    ApprovedPaths, CertificateOverrides, CertificatePaths, MachineGuard, Phase, Record, Store,
};
use rmachine_ssh::ConnectOptions;

use crate::restricted::RestrictedDriver;
use crate::{LifecycleError, bounds};

/// What holds for all machines of one run of the program.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who the certificates are made out to: the person's login name.
    pub organization: String,
    /// How hosts are reached; the limit is set by whoever connects.
    pub ssh: ConnectOptions,
    /// Other places of the shared certificates.
    pub certificates: CertificateOverrides,
    /// Where the companion's program is looked for.
    pub companion: Search,
    /// Where other programs are looked for: the directories of the `PATH`.
    pub programs: Vec<PathBuf>,
    /// The paths outside the store that records may name.
    pub approved_paths: ApprovedPaths,
}

impl Settings {
    /// The program of this name on this computer.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let mut places = self.programs.iter().map(|dir| dir.join(name));
        places.find(|place| place.is_file())
    }
}

/// The machines of a store, with the drivers that can work on them.
pub struct Machines {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    kinds: Vec<Box<dyn DriverKind>>,
    /// The companion's images that were made in this run.
    pub(crate) images: Mutex<Vec<(Architecture, Arc<Image>)>>,
}

impl Machines {
    /// The machines of this store.
    pub fn new(store: Store, kinds: Vec<Box<dyn DriverKind>>, settings: Settings) -> Self {
        Self {
            store,
            settings,
            kinds,
            images: Mutex::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where the shared certificates lie.
    pub fn certificates(&self) -> CertificatePaths {
        self.store.certificates(&self.settings.certificates)
    }

    /// The kind of driver with this name.
    ///
    /// # Errors
    /// [`LifecycleError::UnknownDriver`].
    pub fn kind(&self, name: &str) -> Result<&dyn DriverKind, LifecycleError> {
        self.kinds
            .iter()
            .find(|kind| kind.name() == name)
            .map(AsRef::as_ref)
            .ok_or_else(|| LifecycleError::UnknownDriver {
                name: name.to_owned(),
                known: self.kinds.iter().map(|kind| kind.name()).collect(),
            })
    }

    /// The driver of a machine in the store. While the record names files outside the store that
    /// the user has not approved, the driver does nothing that could read them.
    ///
    /// # Errors
    /// [`LifecycleError::UnknownDriver`]; [`LifecycleError::Driver`] when its settings cannot be
    /// read; [`LifecycleError::Approvals`].
    pub fn driver(&self, record: &Record) -> Result<Box<dyn Driver>, LifecycleError> {
        let first_contact = self.store.first_contact(record);
        self.load_driver(
            record,
            self.store.driver_context(record.name(), first_contact),
        )
    }

    /// The driver of a machine that is being changed, or previewed; as [`Machines::driver`].
    pub(crate) fn driver_of(
        &self,
        guard: &MachineGuard,
    ) -> Result<Box<dyn Driver>, LifecycleError> {
        self.load_driver(&guard.record(), guard.driver_context())
    }

    fn load_driver(
        &self,
        record: &Record,
        context: DriverContext,
    ) -> Result<Box<dyn Driver>, LifecycleError> {
        let kind = self.kind(record.driver_name())?;
        let driver = kind.load(context, record.driver.clone())?;
        let unapproved = self.unapproved(record.name(), &driver.named_files())?;
        Ok(match unapproved.into_iter().next() {
            Some(file) => Box::new(RestrictedDriver::new(driver, record.name().clone(), file)),
            None => driver,
        })
    }

    /// Takes a machine in hand: its lock is held until the guard is dropped.
    pub(crate) fn edit(&self, name: &MachineName) -> Result<MachineGuard, LifecycleError> {
        Ok(self.store.edit(name, bounds::MACHINE_LOCK)?)
    }

    /// Takes a machine in hand whose host is there. Its engine may be half set up: a provisioning
    /// that was cut off is taken up by the next one.
    pub(crate) fn edit_made(&self, name: &MachineName) -> Result<MachineGuard, LifecycleError> {
        host_is_made(self.edit(name)?)
    }

    /// As [`Machines::edit_made`], for a dry run.
    pub(crate) fn preview_made(&self, name: &MachineName) -> Result<MachineGuard, LifecycleError> {
        host_is_made(self.store.preview(self.store.load(name)?))
    }
}

/// Returns the machine if its host was created.
fn host_is_made(guard: MachineGuard) -> Result<MachineGuard, LifecycleError> {
    match guard.journal().next() {
        None | Some(Phase::Provisioned | Phase::Joined | Phase::Ready) => Ok(guard),
        Some(next) => Err(LifecycleError::HalfMade {
            name: guard.name().clone(),
            next,
        }),
    }
}
