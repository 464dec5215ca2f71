//! What a host is: read in one run of one script, kept as data.

mod engine_version;
mod os_release;
mod parse;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use engine_version::{EngineVersion, InvalidEngineVersion};
pub use os_release::OsRelease;

/// The script that reads a host's facts: POSIX sh, run as root. It changes nothing.
pub fn facts_script() -> &'static str {
    include_str!("../../../../templates/facts.sh")
}

/// What a host is, and how its engine is set up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Facts {
    /// The user that the script ran as.
    pub uid: u32,
    /// `/etc/os-release`.
    pub os: OsRelease,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub arch: String,
    /// The host's name.
    pub hostname: String,
    /// What starts services.
    pub init: Init,
    /// The package managers that are there.
    pub package_managers: Vec<PackageManager>,
    /// Which of `curl` and `wget` are there.
    pub fetchers: Vec<String>,
    /// Who holds the package manager's lock.
    pub package_lock: Option<String>,
    /// The engine, if one is installed.
    pub engine: Option<EngineFacts>,
    /// The engine's service, if there is one.
    pub service: Option<ServiceFacts>,
    /// The configuration files that are there, by path.
    pub files: BTreeMap<String, FileFacts>,
    /// What an interrupted run was about to replace, by path; `None` where there was no file.
    pub before: BTreeMap<String, Option<FileFacts>>,
    /// The engine's TLS files, by path.
    pub tls: BTreeMap<String, TlsFile>,
    /// The network interfaces with their addresses.
    pub interfaces: Vec<Interface>,
    /// The TCP ports on which somebody listens.
    pub listeners: Vec<Listener>,
    /// Free room by directory, in bytes.
    pub free: BTreeMap<String, u64>,
    /// Memory in bytes.
    pub memory: u64,
    /// The host's clock, in seconds since 1970.
    pub clock: i64,
    /// How far the host's clock is ahead of ours, in seconds; `None` when nobody compared.
    pub clock_ahead: Option<i64>,
    /// The version of the control groups.
    pub cgroup: u8,
    /// What an earlier run left unfinished.
    pub unfinished: Vec<Unfinished>,
}

/// What starts services on a host.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// systemd is running.
    Systemd,
    /// OpenRC.
    Openrc,
    /// Scripts in `/etc/init.d`.
    Sysvinit,
    /// Nothing that we know.
    None,
}

/// A program that installs packages.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, RHEL 8 and later.
    Dnf,
    /// RHEL 7, Amazon Linux 2.
    Yum,
    /// SUSE.
    Zypper,
    /// Arch.
    Pacman,
    /// Alpine.
    Apk,
}

/// The engine that is installed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EngineFacts {
    /// The dockerd that the service starts, else the one on the PATH.
    pub path: String,
    /// What `dockerd --version` said; `None` when it could not be read.
    pub version: Option<EngineVersion>,
}

/// The engine's service, as the init system sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceFacts {
    /// `docker.service`, or the name of the init script.
    pub name: String,
    /// It is running.
    pub active: bool,
    /// It starts at boot.
    pub enabled: bool,
    /// Whether it is kept from starting.
    pub masked: Masked,
    /// The init system has not read the files that are on the disk.
    pub stale: bool,
    /// Its unit file, found again in [`Facts::files`]; empty without systemd.
    pub fragment: String,
    /// Its drop-ins in the order in which they apply; their texts are in [`Facts::files`].
    pub drop_ins: Vec<String>,
    /// `docker.socket`.
    pub socket: Socket,
}

/// Whether a unit is masked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Masked {
    /// It can be started.
    No,
    /// Until the next boot: what an installation that was cut off leaves.
    Runtime,
    /// By the owner.
    Yes,
}

/// The unit `docker.socket`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Socket {
    /// There is none.
    Absent,
    /// It is masked: `-H fd://` cannot work.
    Masked,
    /// It is there.
    Present,
}

/// A file on the host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileFacts {
    /// Its permission bits.
    pub mode: u32,
    /// Its text.
    pub content: String,
}

/// A TLS file of the engine, whose text stays on the host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TlsFile {
    /// Its permission bits.
    pub mode: u32,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// A network interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A TCP port on which somebody listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The program, where the host can tell.
    pub program: Option<String>,
}

/// What an earlier run left behind when it was cut off.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unfinished {
    /// Packages were being installed.
    Install,
    /// New files were staged, none was in its place.
    Staging,
    /// Files were being replaced, or the engine was being restarted.
    Changing,
}

impl Facts {
    /// The text of a file as it is.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|file| file.content.as_str())
    }

    /// The text of a file as it was before a run that was cut off touched it.
    pub(crate) fn settled_text(&self, path: &str) -> Option<&str> {
        match self.before.get(path) {
            Some(before) => before.as_ref().map(|file| file.content.as_str()),
            None => self.text(path),
        }
    }
}
