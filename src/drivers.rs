//! The drivers that are built in.

use rmachine_driver::DriverKind;

/// Every kind of driver, in the order in which help lists them.
pub fn kinds() -> Vec<Box<dyn DriverKind>> {
    Vec::new()
}
