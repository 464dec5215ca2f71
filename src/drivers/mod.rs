//! The drivers that are built in.

mod isos;

use std::path::PathBuf;
use std::sync::Arc;

use rmachine_docker::DockerKind;
use rmachine_driver::DriverKind;
use rmachine_generic::Generic;
use rmachine_none::UrlOnly;
use rmachine_ssh::ConnectOptions;
use rmachine_virtualbox::VirtualBoxKind;

use crate::Process;
use isos::Isos;

/// Names the place that is asked for boot2docker's releases before their own.
pub const ISO_MIRROR: &str = "MACHINE_ISO_MIRROR";

/// What of the program's surroundings matters to a driver at work. The default does for those who
/// only ask which drivers and flags there are.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The person's home directory, where some local engines have their sockets.
    pub home: Option<PathBuf>,
    /// How hosts are connected to.
    pub ssh: ConnectOptions,
    /// The directory of the ISOs that virtual machines boot.
    pub isos: PathBuf,
    /// A place that has boot2docker's releases.
    pub iso_mirror: Option<String>,
    /// Where VirtualBox is.
    pub virtualbox: rmachine_virtualbox::Surroundings,
}

/// Every kind of driver, in the order in which help lists them.
pub fn kinds(surroundings: Surroundings) -> Vec<Box<dyn DriverKind>> {
    let isos = Isos::new(surroundings.isos, surroundings.iso_mirror);
    let virtualbox = rmachine_virtualbox::Surroundings {
        ssh: surroundings.ssh.clone(),
        ..surroundings.virtualbox
    };
    vec![
        Box::new(DockerKind::new(surroundings.home)),
        Box::new(Generic::new(surroundings.ssh)),
        Box::new(UrlOnly),
        Box::new(VirtualBoxKind::new(virtualbox, Arc::new(isos))),
    ]
}

/// Where VirtualBox is, as far as the process knows.
pub fn virtualbox(process: &Process) -> rmachine_virtualbox::Surroundings {
    let path = |name| process.var(name).map(PathBuf::from);
    let installed = ["VBOX_INSTALL_PATH", "VBOX_MSI_INSTALL_PATH"];
    rmachine_virtualbox::Surroundings {
        home: process.home().cloned(),
        search_path: process.var("PATH").map(Into::into),
        vbox_manage: path("VBOX_MANAGE"),
        install_paths: installed.into_iter().filter_map(path).collect(),
        user_home: path("VBOX_USER_HOME"),
        config_home: path("XDG_CONFIG_HOME"),
        locale: process.var("LC_ALL").map(Into::into),
        ..rmachine_virtualbox::Surroundings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualbox_is_looked_for_where_the_environment_says() {
        let named = [
            ("VBOX_MANAGE", "/v/VBoxManage"),
            ("VBOX_USER_HOME", "/v/home"),
            ("XDG_CONFIG_HOME", "/v/config"),
        ];
        let surroundings = virtualbox(&Process::of(&["rmachine"], &named));
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(surroundings.vbox_manage, path("/v/VBoxManage"));
        assert_eq!(surroundings.user_home, path("/v/home"));
        assert_eq!(surroundings.config_home, path("/v/config"));
    }
}
