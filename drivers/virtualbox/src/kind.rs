use std::sync::Arc;

use rmachine_driver::{
    Driver, DriverConfig, DriverContext, DriverError, DriverFlag, DriverKind, FlagValues,
};

use crate::config::Config;
use crate::driver::NAME;
use crate::find::Surroundings;
use crate::flags::FLAGS;
use crate::iso::IsoSource;
use crate::machine::Machine;

/// The `virtualbox` driver.
pub struct VirtualBoxKind {
    surroundings: Arc<Surroundings>,
    iso: Arc<dyn IsoSource>,
}

impl VirtualBoxKind {
    /// The driver in these surroundings, whose machines boot images of this source.
    pub fn new(surroundings: Surroundings, iso: Arc<dyn IsoSource>) -> Self {
        Self {
            surroundings: Arc::new(surroundings),
            iso,
        }
    }

    fn machine(&self, context: DriverContext, config: Config, record: DriverConfig) -> Machine {
        let (surroundings, iso) = (Arc::clone(&self.surroundings), Arc::clone(&self.iso));
        Machine::new(context, config, record, surroundings, iso)
    }
}

impl DriverKind for VirtualBoxKind {
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
