//! The drivers that are built in.

use std::path::PathBuf;

use rmachine_docker::DockerKind;
use rmachine_driver::DriverKind;
use rmachine_generic::Generic;
use rmachine_none::UrlOnly;
use rmachine_ssh::ConnectOptions;

/// What of the program's surroundings matters to a driver at work. The default does for those who
/// only ask which drivers and flags there are.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The person's home directory, where some local engines have their sockets.
    pub home: Option<PathBuf>,
    /// How hosts are connected to.
    pub ssh: ConnectOptions,
}

/// Every kind of driver, in the order in which help lists them.
pub fn kinds(surroundings: Surroundings) -> Vec<Box<dyn DriverKind>> {
    vec![
        Box::new(DockerKind::new(surroundings.home)),
        Box::new(Generic::new(surroundings.ssh)),
        Box::new(UrlOnly),
    ]
}
