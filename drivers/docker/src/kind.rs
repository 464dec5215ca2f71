use std::path::PathBuf;

use rmachine_driver::{
    Driver, DriverConfig, DriverContext, DriverError, DriverFlag, DriverKind, FlagValues,
};

use crate::config::Config;
use crate::driver::NAME;
use crate::flags::FLAGS;
use crate::host::{self, DockerHost};
use crate::machine::Machine;

/// The `docker` driver.
pub struct DockerKind {
    sockets: Vec<DockerHost>,
}

impl DockerKind {
    /// The driver for a person with this home directory, where desktop engines put their sockets.
    pub fn new(home: Option<PathBuf>) -> Self {
        Self {
            sockets: host::usual_sockets(home.as_deref()),
        }
    }

    fn machine(&self, context: DriverContext, config: Config, record: DriverConfig) -> Machine {
        let sockets = match &config.docker_host {
            Some(host) => vec![host.clone()],
            None => self.sockets.clone(),
        };
        Machine::new(context, config, record, sockets)
    }
}

impl DriverKind for DockerKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn flags(&self) -> &'static [DriverFlag] {
        FLAGS
    }

    fn configure(
        &self,
        context: DriverContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let config = Config::from_flags(flags)?;
        Ok(Box::new(self.machine(context, config, DriverConfig::new())))
    }

    fn load(
        &self,
        context: DriverContext,
        config: DriverConfig,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let known = Config::from_record(&config)?;
        Ok(Box::new(self.machine(context, known, config)))
    }
}
