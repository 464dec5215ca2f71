use std::path::PathBuf;

use rmachine_driver::MachineName;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::{CertificatePaths, Layout, MachineFile, SharedPem};

/// `HostOptions.EngineOptions`: what was asked of the engine. The fields are docker-machine's, in
/// its order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EngineOptions {
    /// `--engine-opt`: `flag=value` or `flag`.
    pub arbitrary_flags: Vec<String>,
    /// Not set by any flag; kept for docker-machine.
    pub dns: Vec<String>,
    /// Not set by any flag; kept for docker-machine.
    pub graph_dir: String,
    /// `--engine-env`: `NAME=value`.
    pub env: Vec<String>,
    /// Not set by any flag; kept for docker-machine.
    pub ipv6: bool,
    /// `--engine-insecure-registry`.
    pub insecure_registry: Vec<String>,
    /// `--engine-label`.
    pub labels: Vec<String>,
    /// Not set by any flag; kept for docker-machine.
    pub log_level: String,
    /// `--engine-storage-driver`; empty for the engine's own choice.
    pub storage_driver: String,
    /// Not set by any flag; kept for docker-machine.
    pub selinux_enabled: bool,
    /// Always true in what docker-machine writes.
    pub tls_verify: bool,
    /// `--engine-registry-mirror`.
    pub registry_mirror: Vec<String>,
    /// `--engine-install-url`.
    #[serde(rename = "InstallURL")]
    pub install_url: String,
}

/// `HostOptions.SwarmOptions`: what was asked of the cluster. The fields are docker-machine's, in
/// its order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SwarmOptions {
    /// Part of a cluster, in either role.
    pub is_swarm: bool,
    /// `--swarm-addr`.
    pub address: String,
    /// `--swarm-discovery`.
    pub discovery: String,
    /// `--swarm`.
    pub agent: bool,
    /// `--swarm-master`.
    pub master: bool,
    /// `--swarm-host`.
    pub host: String,
    /// `--swarm-image`.
    pub image: String,
    /// `--swarm-strategy`.
    pub strategy: String,
    /// Not set by any flag; kept for docker-machine.
    pub heartbeat: Number,
    /// Not set by any flag; kept for docker-machine.
    pub overcommit: Number,
    /// `--swarm-opt`.
    pub arbitrary_flags: Vec<String>,
    /// `--swarm-join-opt`.
    pub arbitrary_join_flags: Vec<String>,
    /// Not set by any flag; kept for docker-machine.
    pub env: Vec<String>,
    /// `--swarm-experimental`.
    pub is_experimental: bool,
}

impl Default for SwarmOptions {
    fn default() -> Self {
        Self {
            is_swarm: false,
            address: String::new(),
            discovery: String::new(),
            agent: false,
            master: false,
            host: String::new(),
            image: String::new(),
            strategy: String::new(),
            heartbeat: Number::from(0),
            overcommit: Number::from(0),
            arbitrary_flags: Vec::new(),
            arbitrary_join_flags: Vec::new(),
            env: Vec::new(),
            is_experimental: false,
        }
    }
}

/// `HostOptions.AuthOptions`: where the machine's certificates lie. The fields are
/// docker-machine's, in its order; paths inside the store are those of the store as it lies now.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AuthOptions {
    /// The store's directory of certificates.
    pub cert_dir: PathBuf,
    /// The CA's certificate.
    pub ca_cert_path: PathBuf,
    /// The CA's private key.
    pub ca_private_key_path: PathBuf,
    /// On the machine; empty until something sets it.
    pub ca_cert_remote_path: String,
    /// The engine's certificate.
    pub server_cert_path: PathBuf,
    /// The engine's private key.
    pub server_key_path: PathBuf,
    /// The client's private key.
    pub client_key_path: PathBuf,
    /// On the machine; empty until something sets it.
    pub server_cert_remote_path: String,
    /// On the machine; empty until something sets it.
    pub server_key_remote_path: String,
    /// The client's certificate.
    pub client_cert_path: PathBuf,
    /// `--tls-san`.
    #[serde(rename = "ServerCertSANs")]
    pub server_cert_sans: Vec<String>,
    /// The machine's own directory.
    pub store_path: PathBuf,
}

impl AuthOptions {
    /// The places of a machine in this store.
    pub fn new(layout: &Layout, name: &MachineName, certificates: &CertificatePaths) -> Self {
        let shared = |pem| certificates.path(pem).to_owned();
        Self {
            cert_dir: certificates.dir().to_owned(),
            ca_cert_path: shared(SharedPem::CaCertificate),
            ca_private_key_path: shared(SharedPem::CaKey),
            server_cert_path: layout.machine_file(name, MachineFile::ServerCertificate),
            server_key_path: layout.machine_file(name, MachineFile::ServerKey),
            client_key_path: shared(SharedPem::ClientKey),
            client_cert_path: shared(SharedPem::ClientCertificate),
            store_path: layout.machine_dir(name),
            ..Self::default()
        }
    }

    /// Puts the usual place where a record names none, as old records do.
    pub(super) fn fill(&mut self, usual: Self) {
        let paths = [
            (&mut self.cert_dir, usual.cert_dir),
            (&mut self.ca_cert_path, usual.ca_cert_path),
            (&mut self.ca_private_key_path, usual.ca_private_key_path),
            (&mut self.server_cert_path, usual.server_cert_path),
            (&mut self.server_key_path, usual.server_key_path),
            (&mut self.client_key_path, usual.client_key_path),
            (&mut self.client_cert_path, usual.client_cert_path),
            (&mut self.store_path, usual.store_path),
        ];
        for (path, usual) in paths {
            if path.as_os_str().is_empty() {
                *path = usual;
            }
        }
    }
}
