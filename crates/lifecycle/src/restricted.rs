//! A driver whose record names a file outside the store that the user has not approved.

use async_trait::async_trait;
use rmachine_driver::{
    Capabilities, Driver, DriverConfig, DriverError, HostAddress, MachineName, MachineState,
    NamedFile, Snapshot, SnapshotName, SshEndpoint, Work,
};

/// Passes on only what reads no file, so that such a machine can be listed, shown and, where its
/// host was adopted, removed. Everything else is an error that names the file.
pub(crate) struct RestrictedDriver {
    inner: Box<dyn Driver>,
    machine: MachineName,
    unapproved: NamedFile,
}

impl RestrictedDriver {
    pub(crate) fn new(inner: Box<dyn Driver>, machine: MachineName, unapproved: NamedFile) -> Self {
        Self {
            inner,
            machine,
            unapproved,
        }
    }

    fn rejected<T>(&self) -> Result<T, DriverError> {
        Err(DriverError::UnapprovedFile {
            machine: self.machine.clone(),
            file: self.unapproved.clone(),
        })
    }

    /// Whether the machine's host is not the driver's: its address is part of the record, and
    /// removing the machine removes nothing else.
    fn is_adopted(&self) -> bool {
        self.inner.capabilities().adopted
    }
}

#[async_trait]
impl Driver for RestrictedDriver {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn config(&self) -> DriverConfig {
        self.inner.config()
    }

    fn named_files(&self) -> Vec<NamedFile> {
        self.inner.named_files()
    }

    async fn check(&self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn create(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn start(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn stop(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn restart(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn kill(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn remove(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        if self.is_adopted() {
            self.inner.remove(work).await
        } else {
            self.rejected()
        }
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        self.rejected()
    }

    async fn address(&self) -> Result<HostAddress, DriverError> {
        if self.is_adopted() {
            self.inner.address().await
        } else {
            self.rejected()
        }
    }

    async fn url(&self) -> Result<String, DriverError> {
        if self.is_adopted() {
            self.inner.url().await
        } else {
            self.rejected()
        }
    }

    fn engine_port(&self) -> u16 {
        self.inner.engine_port()
    }

    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError> {
        self.rejected()
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, DriverError> {
        self.rejected()
    }

    async fn take_snapshot(
        &mut self,
        _name: &SnapshotName,
        _work: &Work<'_>,
    ) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn restore_snapshot(&mut self, _name: &str, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }

    async fn remove_snapshot(&mut self, _name: &str, _work: &Work<'_>) -> Result<(), DriverError> {
        self.rejected()
    }
}
