use std::path::PathBuf;

use async_trait::async_trait;

use crate::{
    DriverError, DriverFlag, FirstContact, FlagValues, HostAddress, MachineName, MachineState,
    Operation, Report, ResourceJournal, Secrets, Snapshot, SnapshotName, SshEndpoint,
};

/// What a driver keeps in the machine's record, under `Driver`.
///
/// Fields that the driver does not know must survive: another program may have written them.
pub type DriverConfig = serde_json::Map<String, serde_json::Value>;

/// What a driver's machines can do. Callers read this and never the driver's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// `start`, `stop` and `kill` work.
    pub power: bool,
    /// `restart` works.
    pub restart: bool,
    /// The host is reached over SSH and its engine is ours to install and configure.
    pub provisioned: bool,
    /// The host was there before: removing the machine leaves it, and can restore its engine.
    pub adopted: bool,
    /// The address can be another one after a start.
    pub address_moves: bool,
    /// Snapshots can be taken and restored.
    pub snapshots: bool,
}

/// Where a driver finds what belongs to its machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DriverContext {
    /// The machine's name.
    pub name: MachineName,
    /// The machine's own directory in the store; it exists, mode 0700.
    pub machine_dir: PathBuf,
    /// The store's root, for what the machines of one driver share (caches).
    pub store_dir: PathBuf,
    /// What to do while no host key of the machine is pinned.
    pub first_contact: FirstContact,
}

/// A file that a machine's record names and that its driver reads on this computer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedFile {
    /// The field of the record, such as `Driver.SSHKeyPath`.
    pub field: &'static str,
    /// The file, as the record has it.
    pub path: PathBuf,
}

/// What a driver may use while it works.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Where progress goes.
    pub report: &'a dyn Report,
    /// What the driver made for this machine.
    pub resources: &'a dyn ResourceJournal,
    /// Where passwords come from.
    pub secrets: &'a dyn Secrets,
}

/// A kind of driver: makes [`Driver`]s from flags or from a record.
pub trait DriverKind: Send + Sync {
    /// The name that `--driver` takes and the record keeps.
    fn name(&self) -> &'static str;

    /// The flags that `create` takes for this driver.
    fn flags(&self) -> &'static [DriverFlag];

    /// Makes the driver of a new machine. Reads no file and opens no connection.
    ///
    /// # Errors
    /// [`DriverError::Flag`] for a value that is missing or cannot be used.
    fn configure(
        &self,
        context: DriverContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Driver>, DriverError>;

    /// Makes the driver of a machine in the store. Reads no file and opens no connection.
    ///
    /// # Errors
    /// [`DriverError::Config`] for a field that cannot be read.
    fn load(
        &self,
        context: DriverContext,
        config: DriverConfig,
    ) -> Result<Box<dyn Driver>, DriverError>;
}

/// One machine, in the hands of its driver.
///
/// **The life of a machine.** `check`, then `create`; from then on `start`, `stop`, `restart`,
/// `kill`, `state`, `address`, `url` and `ssh` in any order; at the end `remove`. The caller holds
/// the machine's lock during every method that takes [`Work`].
///
/// **Idempotence.** A method whose end state already holds returns `Ok` and changes nothing:
/// `create` on a machine that is there, `start` on a running one, `stop` on a stopped one,
/// `remove` of one that is gone. A method that was cut off in the middle (power, SIGKILL) can be
/// called again and goes on from there. So `create` must find again what an earlier `create` made,
/// through [`ResourceJournal::owned`] or by names that follow from the machine's name.
///
/// **Bounds.** Every wait ends, with [`DriverError::Timeout`] and what was waited for.
///
/// **Words.** Progress goes to [`Work::report`]; a driver never prints.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The name of the driver's kind.
    fn name(&self) -> &'static str;

    /// What this machine can do.
    fn capabilities(&self) -> Capabilities;

    /// What the record keeps. It must hold everything that [`DriverKind::load`] needs, and every
    /// field that was loaded and is not understood.
    fn config(&self) -> DriverConfig;

    /// The files that the settings name and that some method reads. The caller does not use a
    /// driver whose files are outside the store before the user approved them, since the record
    /// may come from someone else.
    fn named_files(&self) -> Vec<NamedFile>;

    /// Looks whether `create` can work, and changes nothing.
    ///
    /// # Errors
    /// [`DriverError::Check`] with every reason found, not only the first.
    async fn check(&self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Makes the machine and powers it on, or adopts it. Called after `check`, and again when an
    /// earlier call was cut off. When it returns, [`Driver::config`] is saved; whatever was made
    /// was noted through [`Work::resources`] before.
    ///
    /// # Errors
    /// Any; what was made stays noted.
    async fn create(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Powers the machine on and returns when it is running; its sshd may not be up yet.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`] without [`Capabilities::power`]; [`DriverError::Gone`] when
    /// the machine no longer exists.
    async fn start(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Shuts the machine down in order, and returns when it is stopped.
    ///
    /// # Errors
    /// As [`Driver::start`]; [`DriverError::Timeout`] when it does not go down.
    async fn stop(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Reboots the machine and returns when the old system is down and the new one comes up, so
    /// that whoever waits for sshd meets the new one.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`] without [`Capabilities::restart`]; as [`Driver::stop`].
    async fn restart(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Cuts the machine's power.
    ///
    /// # Errors
    /// As [`Driver::start`].
    async fn kill(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// Takes away what [`ResourceJournal::owned`] lists and nothing else, going on past failures
    /// and noting each success. Adopted hosts are left as they are.
    ///
    /// # Errors
    /// One error naming everything that could not be removed.
    async fn remove(&mut self, work: &Work<'_>) -> Result<(), DriverError>;

    /// The machine's state, read from the real thing.
    ///
    /// # Errors
    /// When the real thing cannot be asked.
    async fn state(&self) -> Result<MachineState, DriverError>;

    /// Looks after a machine that was powered on and is waited for.
    ///
    /// # Errors
    /// [`DriverError::WentDown`] when it neither runs nor comes up any more; [`DriverError::Gone`].
    /// None where the real thing cannot be asked: the wait has its own end.
    async fn still_up(&self) -> Result<(), DriverError> {
        match self.state().await {
            Ok(state) if state.is_down() => Err(DriverError::WentDown {
                state,
                why: None,
                hint: None,
            }),
            Err(gone @ DriverError::Gone { .. }) => Err(gone),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The address at which clients reach the machine.
    ///
    /// # Errors
    /// [`DriverError::NotRunning`] where only a running machine has one.
    async fn address(&self) -> Result<HostAddress, DriverError>;

    /// The engine's URL, `tcp://address:port`.
    ///
    /// # Errors
    /// As [`Driver::address`].
    async fn url(&self) -> Result<String, DriverError>;

    /// The port at which the engine is to listen, on the machine.
    fn engine_port(&self) -> u16;

    /// Where SSH reaches the machine; `None` for machines that SSH does not reach.
    ///
    /// # Errors
    /// [`DriverError::NotRunning`] where only a running machine can tell.
    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError>;

    /// The machine's snapshots, the oldest first.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`] without [`Capabilities::snapshots`]; [`DriverError::Gone`] when
    /// the machine no longer exists.
    async fn snapshots(&self) -> Result<Vec<Snapshot>, DriverError> {
        Err(no_snapshots(self.name()))
    }

    /// Takes a snapshot of the machine, running or not, which is afterwards in the state that it
    /// was in. A name that is taken is refused: what it stands for is another state.
    ///
    /// # Errors
    /// As [`Driver::snapshots`]; whatever kept it from being taken whole, and then there is none.
    async fn take_snapshot(
        &mut self,
        name: &SnapshotName,
        work: &Work<'_>,
    ) -> Result<(), DriverError> {
        let _ = (name, work);
        Err(no_snapshots(self.name()))
    }

    /// Puts the machine back to a snapshot; what came after it is lost. The machine is running
    /// afterwards if it ran before, or when the snapshot was taken.
    ///
    /// # Errors
    /// As [`Driver::snapshots`]; when there is no such snapshot, and then nothing was touched.
    async fn restore_snapshot(&mut self, name: &str, work: &Work<'_>) -> Result<(), DriverError> {
        let _ = (name, work);
        Err(no_snapshots(self.name()))
    }

    /// Removes a snapshot; the machine stays as it is. One that is not there is removed already.
    ///
    /// # Errors
    /// As [`Driver::snapshots`].
    async fn remove_snapshot(&mut self, name: &str, work: &Work<'_>) -> Result<(), DriverError> {
        let _ = (name, work);
        Err(no_snapshots(self.name()))
    }
}

fn no_snapshots(driver: &'static str) -> DriverError {
    DriverError::Unsupported {
        driver,
        operation: Operation::Snapshot,
    }
}
