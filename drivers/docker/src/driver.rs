use async_trait::async_trait;
use rmachine_driver::{
    Capabilities, Driver, DriverConfig, DriverError, HostAddress, MachineState, NamedFile,
    Operation, SshEndpoint, Work,
};

use crate::config::ENGINE_PORT;
use crate::machine::Machine;
use crate::{check, create, keys, power, remove};

/// The name that `--driver` takes.
pub const NAME: &str = "docker";

#[async_trait]
impl Driver for Machine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let made = self.config.container_id.is_some();
        Capabilities {
            power: true,
            restart: true,
            provisioned: true,
            adopted: false,
            // Whether a network of the user's lets an address be fixed is known once it was tried.
            address_moves: self.config.ip_address.is_none()
                && (made || self.config.wanted_network.is_some()),
            snapshots: false,
        }
    }

    fn config(&self) -> DriverConfig {
        let mut record = self.record.clone();
        self.config.write_to(&mut record);
        record
    }

    fn named_files(&self) -> Vec<NamedFile> {
        // Its place is not taken from the record, but it may be a link that leads out of the store.
        vec![NamedFile {
            field: "Driver.SSHKeyPath",
            path: keys::login_key(&self.context.machine_dir),
        }]
    }

    async fn check(&self, _work: &Work<'_>) -> Result<(), DriverError> {
        let failures = check::failures(self).await;
        if failures.is_empty() {
            Ok(())
        } else {
            Err(DriverError::Check(failures))
        }
    }

    async fn create(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        let made = create::create(self, work).await?;
        let config = &mut self.config;
        let place = made.seen.place();
        config.container_id = Some(made.seen.id().to_owned());
        config.image = Some(made.seen.image().to_owned());
        config.network = Some(made.seen.network().to_owned());
        config.isolation = made.seen.isolation();
        config.docker_host = Some(made.host);
        config.ssh_user = made.user;
        config.publish = place.published.is_some();
        config.ip_address = place.address;
        if let Some(published) = place.published {
            config.ip_address = Some(std::net::Ipv4Addr::LOCALHOST);
            config.ssh_port = published.ssh;
            config.engine_port = published.engine;
        }
        Ok(())
    }

    async fn start(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        power::start(self, Operation::Start, work).await
    }

    async fn stop(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        power::stop(self, Operation::Stop, work).await
    }

    async fn restart(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        power::stop(self, Operation::Restart, work).await?;
        power::start(self, Operation::Restart, work).await
    }

    async fn kill(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        power::kill(self, work).await
    }

    async fn remove(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        remove::remove(self, work).await
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(self.seen(Operation::Inspect).await?.state())
    }

    async fn address(&self) -> Result<HostAddress, DriverError> {
        let seen = self.seen(Operation::Inspect).await?;
        if seen.state() != MachineState::Running {
            return Err(DriverError::NotRunning);
        }
        if let Some(fixed) = self.config.ip_address {
            return Ok(HostAddress::Ip(fixed.into()));
        }
        seen.current_address()
            .map(|address| HostAddress::Ip(address.into()))
            .ok_or(DriverError::NotRunning)
    }

    async fn url(&self) -> Result<String, DriverError> {
        let address = self.address().await?;
        Ok(format!(
            "tcp://{}:{}",
            address.in_url(),
            self.config.engine_port
        ))
    }

    fn engine_port(&self) -> u16 {
        ENGINE_PORT
    }

    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError> {
        Ok(Some(SshEndpoint {
            host: self.address().await?,
            port: Some(self.config.ssh_port),
            user: Some(self.config.ssh_user.clone()),
            identity: Some(keys::login_key(&self.context.machine_dir)),
            known_hosts: keys::known_hosts(&self.context.machine_dir),
            host_key_alias: self.context.name.to_string(),
            first_contact: self.context.first_contact,
            use_ssh_config: false,
            sudo_password_file: None,
        }))
    }
}
