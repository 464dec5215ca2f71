use std::path::{Path, PathBuf};

use rmachine_driver::MachineName;

const RECORD: &str = "config.json";

/// Names of the shared certificates and keys.
pub(crate) const CA_CERTIFICATE: &str = "ca.pem";
pub(crate) const CA_KEY: &str = "ca-key.pem";
pub(crate) const CLIENT_CERTIFICATE: &str = "cert.pem";
pub(crate) const CLIENT_KEY: &str = "key.pem";

/// Where everything lies in the store: the only place that knows its file names.
///
/// ```text
/// certs/      ca.pem ca-key.pem cert.pem key.pem
/// cache/      what the machines of one driver share
/// clusters/   NAME/ journal.json
/// locks/      certificates.lock, clusters/NAME.lock, machines/NAME.lock
/// machines/   NAME/ config.json ca.pem cert.pem key.pem server.pem server-key.pem
///             manager.pem manager-key.pem agent.pem agent-key.pem known_hosts …
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    root: PathBuf,
}

/// The files of one machine, its record aside.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MachineFile {
    /// The pinned host key.
    KnownHosts,
    /// The machine's copy of the CA's certificate.
    CaCertificate,
    /// The machine's copy of the client's certificate.
    ClientCertificate,
    /// The machine's copy of the client's private key.
    ClientKey,
    /// The engine's certificate.
    ServerCertificate,
    /// The engine's private key.
    ServerKey,
    /// The certificate of the cluster's manager.
    ManagerCertificate,
    /// The private key of the cluster's manager.
    ManagerKey,
    /// The certificate of the cluster's agent.
    AgentCertificate,
    /// The private key of the cluster's agent.
    AgentKey,
    /// What the machine shows to and as a server of a store.
    StoreCertificate,
    /// Its private key.
    StoreKey,
}

impl MachineFile {
    /// The file's name in the machine's directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::KnownHosts => "known_hosts",
            Self::CaCertificate => "ca.pem",
            Self::ClientCertificate => "cert.pem",
            Self::ClientKey => "key.pem",
            Self::ServerCertificate => "server.pem",
            Self::ServerKey => "server-key.pem",
            Self::ManagerCertificate => "manager.pem",
            Self::ManagerKey => "manager-key.pem",
            Self::AgentCertificate => "agent.pem",
            Self::AgentKey => "agent-key.pem",
            Self::StoreCertificate => "store.pem",
            Self::StoreKey => "store-key.pem",
        }
    }

    /// Whether only the owner may read it.
    pub(crate) fn is_private(self) -> bool {
        match self {
            Self::ClientKey
            | Self::ServerKey
            | Self::ManagerKey
            | Self::AgentKey
            | Self::StoreKey => true,
            Self::KnownHosts
            | Self::CaCertificate
            | Self::ClientCertificate
            | Self::ServerCertificate
            | Self::ManagerCertificate
            | Self::AgentCertificate
            | Self::StoreCertificate => false,
        }
    }
}

impl Layout {
    /// The layout of a store at this root.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The store's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the shared certificates.
    pub fn certs_dir(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// The CA's certificate.
    pub fn ca_certificate(&self) -> PathBuf {
        self.certs_dir().join(CA_CERTIFICATE)
    }

    /// The CA's private key.
    pub fn ca_key(&self) -> PathBuf {
        self.certs_dir().join(CA_KEY)
    }

    /// The client's certificate.
    pub fn client_certificate(&self) -> PathBuf {
        self.certs_dir().join(CLIENT_CERTIFICATE)
    }

    /// The client's private key.
    pub fn client_key(&self) -> PathBuf {
        self.certs_dir().join(CLIENT_KEY)
    }

    /// The certificate of the stores' own authority.
    pub(crate) fn store_ca_certificate(&self) -> PathBuf {
        self.certs_dir().join("store-ca.pem")
    }

    /// Its private key.
    pub(crate) fn store_ca_key(&self) -> PathBuf {
        self.certs_dir().join("store-ca-key.pem")
    }

    /// The directory for what the machines of one driver share.
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The directory of all machines.
    pub fn machines_dir(&self) -> PathBuf {
        self.root.join("machines")
    }

    /// A machine's own directory.
    pub fn machine_dir(&self, name: &MachineName) -> PathBuf {
        self.machines_dir().join(name.as_str())
    }

    /// A machine's record.
    pub fn record(&self, name: &MachineName) -> PathBuf {
        self.machine_dir(name).join(RECORD)
    }

    /// A machine's record as it was before it was brought to the current version.
    pub fn record_backup(&self, name: &MachineName) -> PathBuf {
        self.machine_dir(name).join(format!("{RECORD}.bak"))
    }

    /// A file of a machine.
    pub fn machine_file(&self, name: &MachineName, file: MachineFile) -> PathBuf {
        self.machine_dir(name).join(file.file_name())
    }

    /// Where a machine's directory is filled before it gets its name. No machine is called so, and
    /// docker-machine passes over names that start with a dot.
    pub(crate) fn unfinished_dir(&self, name: &MachineName) -> PathBuf {
        self.machines_dir().join(format!(".{name}.new"))
    }

    /// The record in [`Layout::unfinished_dir`].
    pub(crate) fn unfinished_record(&self, name: &MachineName) -> PathBuf {
        self.unfinished_dir(name).join(RECORD)
    }

    /// Where a machine's directory goes before it is emptied.
    pub(crate) fn discarded_dir(&self, name: &MachineName) -> PathBuf {
        self.machines_dir().join(format!(".{name}.removed"))
    }

    /// The directory of all clusters.
    pub fn clusters_dir(&self) -> PathBuf {
        self.root.join("clusters")
    }

    /// A cluster's own directory.
    pub fn cluster_dir(&self, name: &MachineName) -> PathBuf {
        self.clusters_dir().join(name.as_str())
    }

    /// What is kept of a cluster.
    pub fn cluster_journal(&self, name: &MachineName) -> PathBuf {
        self.cluster_dir(name).join("journal.json")
    }

    /// The lock of one cluster. Whoever holds it may take machines' locks; never the other way
    /// round.
    pub fn cluster_lock(&self, name: &MachineName) -> PathBuf {
        self.locks_dir()
            .join("clusters")
            .join(format!("{name}.lock"))
    }

    /// The lock of one machine. It lies outside the machine's directory, so that the machine can
    /// be removed and made again under one lock.
    pub(crate) fn machine_lock(&self, name: &MachineName) -> PathBuf {
        self.locks_dir()
            .join("machines")
            .join(format!("{name}.lock"))
    }

    /// The lock of the shared certificates.
    pub(crate) fn certificates_lock(&self) -> PathBuf {
        self.locks_dir().join("certificates.lock")
    }

    /// The lock of those whose engine starts with a `cluster-store`.
    pub fn engine_turn_lock(&self) -> PathBuf {
        self.locks_dir().join("engine-turn.lock")
    }

    fn locks_dir(&self) -> PathBuf {
        self.root.join("locks")
    }
}
