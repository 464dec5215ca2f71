use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rmachine_companion::{Architecture, Image, Search};
use rmachine_driver::{Driver, DriverKind, MachineName};
use rmachine_machine::{
    CertificateOverrides, CertificatePaths, MachineGuard, Phase, Record, Store,
};
use rmachine_ssh::ConnectOptions;

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

    /// The driver of a machine in the store.
    ///
    /// # Errors
    /// [`LifecycleError::UnknownDriver`]; [`LifecycleError::Driver`] when its settings cannot be
    /// read.
    pub fn driver(&self, record: &Record) -> Result<Box<dyn Driver>, LifecycleError> {
        let context = self.store.driver_context(record.name());
        let kind = self.kind(record.driver_name())?;
        Ok(kind.load(context, record.driver.clone())?)
    }

    /// Takes a machine in hand: its lock is held until the guard is dropped.
    pub(crate) fn edit(&self, name: &MachineName) -> Result<MachineGuard, LifecycleError> {
        Ok(self.store.edit(name, bounds::MACHINE_LOCK)?)
    }

    /// Takes a machine in hand whose host is there. Its engine may be half set up: a provisioning
    /// that was cut off is taken up by the next one.
    pub(crate) fn edit_made(&self, name: &MachineName) -> Result<MachineGuard, LifecycleError> {
        let guard = self.edit(name)?;
        match guard.journal().next() {
            None | Some(Phase::Provisioned | Phase::Joined | Phase::Ready) => Ok(guard),
            Some(next) => Err(LifecycleError::HalfMade {
                name: name.clone(),
                next,
            }),
        }
    }
}
