//! The drivers that are built in.

use std::path::PathBuf;

use rmachine_docker::DockerKind;
use rmachine_driver::DriverKind;
use rmachine_none::UrlOnly;

/// Every kind of driver, in the order in which help lists them; some look for a local engine below
/// the person's home directory.
pub fn kinds(home: Option<PathBuf>) -> Vec<Box<dyn DriverKind>> {
    vec![Box::new(DockerKind::new(home)), Box::new(UrlOnly)]
}
