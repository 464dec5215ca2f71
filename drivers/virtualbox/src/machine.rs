use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmachine_driver::{DriverConfig, DriverContext, DriverError, Operation, Work};
use tokio::time::sleep;

use crate::answer::{self, Vm};
use crate::config::Config;
use crate::find::{Surroundings, user_directory};
use crate::iso::IsoSource;
use crate::lock::lock;
use crate::manage::{ManageError, VBoxManage};
use crate::said::Trouble;
use crate::share::{Share, shared};
use crate::{failure, keys};

/// What a VM is called among a machine's resources; found again by its identity.
pub const VM: &str = "vm";

/// How often a VM that is changing its state, or held by another program, is tried again, and how
/// long to wait in between.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// The most that is read of VBox.log: it tells of the start in its first part.
const MOST_OF_LOG: usize = 4 * 1024 * 1024;

/// One machine: a VM, and what is known of it.
pub struct Machine {
    pub context: DriverContext,
    pub config: Config,
    /// The record as it was read, for the fields that are not ours.
    pub record: DriverConfig,
    pub surroundings: Arc<Surroundings>,
    pub iso: Arc<dyn IsoSource>,
    /// Whether the VM was seen running by this very value, which has not ended it since.
    running: AtomicBool,
    /// The address that it has told since it was seen running.
    told: Mutex<Option<Ipv4Addr>>,
}

impl Machine {
    pub fn new(
        context: DriverContext,
        mut config: Config,
        record: DriverConfig,
        surroundings: Arc<Surroundings>,
        iso: Arc<dyn IsoSource>,
    ) -> Self {
        config.machine_name = context.name.to_string();
        config.store_path.clone_from(&context.store_dir);
        if config.ssh_key_path.as_os_str().is_empty() {
            config.ssh_key_path = match record.is_empty() {
                true => keys::login_key(&context.machine_dir),
                false => keys::old_login_key(&context.machine_dir),
            };
        }
        Self {
            context,
            config,
            record,
            surroundings,
            iso,
            running: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    /// The program.
    pub fn manage(&self, operation: Operation) -> Result<VBoxManage, DriverError> {
        VBoxManage::find(&self.surroundings)
            .map_err(|error| failure::manage(operation, "looking for VBoxManage", error))
    }

    /// What VirtualBox knows the VM by.
    pub fn reference(&self) -> &str {
        match &self.config.vm_id {
            Some(id) => id.as_str(),
            None => self.context.name.as_str(),
        }
    }

    /// The VM as it is now, if VirtualBox has it.
    pub async fn look(&self, operation: Operation) -> Result<Option<Vm>, DriverError> {
        let manage = self.manage(operation)?;
        let asked = ["showvminfo", self.reference(), "--machinereadable"];
        match patiently(|| manage.run(asked)).await {
            Ok(told) => {
                let vm = answer::vm(&told);
                self.remember_running(
                    vm.state().machine() == rmachine_driver::MachineState::Running,
                );
                Ok(Some(vm))
            }
            Err(error) if error.is(Trouble::NotFound) => Ok(None),
            Err(error) => Err(failure::manage(operation, "looking at the VM", error)),
        }
    }

    /// The VM as it is now.
    pub async fn seen(&self, operation: Operation) -> Result<Vm, DriverError> {
        self.look(operation).await?.ok_or_else(|| self.gone())
    }

    /// VirtualBox has no VM of this machine.
    pub fn gone(&self) -> DriverError {
        DriverError::Gone {
            kind: VM.to_owned(),
            id: self.context.name.to_string(),
        }
    }

    /// Whether the VM is known to run, without asking again.
    pub fn is_known_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Remembers whether the VM runs. One that does not may have another address when it does.
    pub fn remember_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
        if !running {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// The address that the machine has told, without asking again.
    pub fn told_address(&self) -> Option<Ipv4Addr> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the address that the machine has told.
    pub fn remember_told(&self, address: Ipv4Addr) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// The lock under which VMs, adapters and DHCP servers come and go.
    pub async fn lock(&self, work: &Work<'_>) -> Result<File, DriverError> {
        let of_user = user_directory(&self.surroundings).map(|place| place.join("rmachine.lock"));
        let of_store = self.shared().join("virtualbox.lock");
        lock(of_user.as_deref(), &of_store, work.report).await
    }

    /// What the machines of this driver share in the store.
    pub fn shared(&self) -> PathBuf {
        self.context.store_dir.join("cache").join("virtualbox")
    }

    /// The directory of this computer that the machine sees, unless it shall see none.
    pub fn share(&self) -> Option<Share> {
        let asked = (!self.config.no_share).then_some(&self.config.share_folder)?;
        shared(asked, &self.surroundings)
    }

    /// The machine's own ISO image, where docker-machine has it.
    pub fn iso_file(&self) -> PathBuf {
        self.context.machine_dir.join("boot2docker.iso")
    }

    /// The machine's disk, where docker-machine has it.
    pub fn disk_file(&self) -> PathBuf {
        self.context.machine_dir.join("disk.vmdk")
    }

    /// Where VirtualBox keeps the VM's settings and logs.
    pub fn settings_dir(&self) -> PathBuf {
        self.context.machine_dir.join(self.context.name.as_str())
    }

    /// What VirtualBox has logged since the VM was last started.
    pub fn log(&self, vm: Option<&Vm>) -> String {
        let logs = vm
            .and_then(Vm::logs)
            .unwrap_or_else(|| self.settings_dir().join("Logs"));
        let mut bytes = fs::read(logs.join("VBox.log")).unwrap_or_default();
        bytes.truncate(MOST_OF_LOG);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Tries again while the VM is changing its state, or held by a program that will let it go.
pub async fn patiently<F>(mut attempt: impl FnMut() -> F) -> Result<String, ManageError>
where
    F: Future<Output = Result<String, ManageError>>,
{
    let mut tries = TRIES;
    loop {
        match attempt().await {
            Err(error) if tries > 0 && passes(&error) => {
                tries -= 1;
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

fn passes(error: &ManageError) -> bool {
    error.is(Trouble::NotReady) || error.is(Trouble::Locked)
}
