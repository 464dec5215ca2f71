use std::net::Ipv4Addr;

use async_trait::async_trait;
use rmachine_driver::{
    Capabilities, Driver, DriverConfig, DriverError, HostAddress, MachineState, NamedFile,
    Operation, Snapshot, SnapshotName, SshEndpoint, Work,
};

use crate::answer::VmSnapshot;
use crate::config::ENGINE_PORT;
use crate::machine::Machine;
use crate::{address, check, create, keys, remove, snapshot, start, stop};

/// The name that `--driver` takes.
pub const NAME: &str = "virtualbox";

#[async_trait]
impl Driver for Machine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        // Before the machine is made, what was asked for is all that is known.
        let made = self.config.ssh_port != 0;
        let moves = match made {
            true => !self.config.address_kept,
            false => self.config.host_only_no_dhcp || self.config.asks_for_dhcp(),
        };
        Capabilities {
            power: true,
            restart: true,
            provisioned: true,
            adopted: false,
            address_moves: moves,
            snapshots: true,
        }
    }

    fn config(&self) -> DriverConfig {
        let mut record = self.record.clone();
        self.config.write_to(&mut record);
        record
    }

    fn named_files(&self) -> Vec<NamedFile> {
        self.config.named_files()
    }

    async fn check(&self, work: &Work<'_>) -> Result<(), DriverError> {
        let (failures, warnings) = check::failures(self, work.resources).await;
        for warning in warnings {
            work.report.warn(&warning);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(DriverError::Check(failures))
        }
    }

    async fn create(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        create::create(self, work).await
    }

    async fn start(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        start::start(self, Operation::Start, work).await
    }

    async fn stop(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        stop::stop(self, Operation::Stop, work).await
    }

    async fn restart(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        stop::stop(self, Operation::Restart, work).await?;
        start::start(self, Operation::Restart, work).await
    }

    async fn kill(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        stop::kill(self, Operation::Kill, work).await
    }

    async fn remove(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        remove::remove(self, work).await
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(self.seen(Operation::Inspect).await?.state().machine())
    }

    async fn still_up(&self) -> Result<(), DriverError> {
        start::still_up(self).await
    }

    async fn address(&self) -> Result<HostAddress, DriverError> {
        self.must_run().await?;
        let kept = self.config.ip_address.filter(|_| self.config.address_kept);
        let address = match kept {
            Some(address) => address,
            None => address::told(self).await?,
        };
        Ok(HostAddress::Ip(address.into()))
    }

    async fn url(&self) -> Result<String, DriverError> {
        let address = self.address().await?;
        Ok(format!("tcp://{}:{ENGINE_PORT}", address.in_url()))
    }

    fn engine_port(&self) -> u16 {
        ENGINE_PORT
    }

    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError> {
        self.must_run().await?;
        Ok(Some(self.endpoint()))
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, DriverError> {
        let told = |snapshot: VmSnapshot| Snapshot {
            name: snapshot.name,
            current: snapshot.current,
        };
        let snapshots = snapshot::list(self).await?;
        Ok(snapshots.into_iter().map(told).collect())
    }

    async fn take_snapshot(
        &mut self,
        name: &SnapshotName,
        work: &Work<'_>,
    ) -> Result<(), DriverError> {
        snapshot::take(self, name, work).await
    }

    async fn restore_snapshot(&mut self, name: &str, work: &Work<'_>) -> Result<(), DriverError> {
        snapshot::restore(self, name, work).await
    }

    async fn remove_snapshot(&mut self, name: &str, work: &Work<'_>) -> Result<(), DriverError> {
        snapshot::remove(self, name, work).await
    }
}

impl Machine {
    /// A VM that this very value has started is not asked again.
    async fn must_run(&self) -> Result<(), DriverError> {
        if self.is_known_running() || self.state().await? == MachineState::Running {
            Ok(())
        } else {
            Err(DriverError::NotRunning)
        }
    }

    /// Where the sshd of a running machine is.
    pub fn endpoint(&self) -> SshEndpoint {
        SshEndpoint {
            host: HostAddress::Ip(Ipv4Addr::LOCALHOST.into()),
            port: Some(self.config.ssh_port),
            user: Some(self.config.ssh_user.clone()),
            identity: Some(self.config.ssh_key_path.clone()),
            known_hosts: keys::known_hosts(&self.context.machine_dir),
            host_key_alias: self.context.name.to_string(),
            first_contact: self.context.first_contact,
            use_ssh_config: false,
            sudo_password_file: None,
        }
    }
}
