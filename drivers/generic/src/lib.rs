//! The generic driver: adopts any host that SSH reaches.
//!
//! It makes and removes nothing on the host; it knows how to reach it, whether it answers, and how
//! to reboot it. What the host *is* (its system, its sudo, its engine) is for the provisioner to
//! find out. Start reading at [`Generic`]; the record's fields are in `settings`.

mod flags;
mod key;
mod machine;
mod reboot;
mod settings;

use rmachine_driver::{
    Driver, DriverConfig, DriverContext, DriverError, DriverFlag, DriverKind, FlagValues,
};
use rmachine_ssh::ConnectOptions;

use machine::Machine;
use settings::Settings;

/// The driver's name, as `--driver` takes it.
const NAME: &str = "generic";

/// The kind of driver named `generic`.
#[derive(Clone, Debug)]
pub struct Generic {
    options: ConnectOptions,
}

impl Generic {
    /// A kind whose machines are connected to in this way.
    pub fn new(options: ConnectOptions) -> Self {
        Self { options }
    }
}

impl DriverKind for Generic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn flags(&self) -> &'static [DriverFlag] {
        flags::FLAGS
    }

    fn configure(
        &self,
        context: DriverContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let home = self.options.environment.home.as_deref();
        let settings = flags::read(flags, home)?;
        let rest = DriverConfig::new();
        Ok(Box::new(Machine::new(
            context,
            settings,
            rest,
            self.options.clone(),
        )))
    }

    fn load(
        &self,
        context: DriverContext,
        config: DriverConfig,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let settings = Settings::read(&config)?;
        Ok(Box::new(Machine::new(
            context,
            settings,
            config,
            self.options.clone(),
        )))
    }
}
