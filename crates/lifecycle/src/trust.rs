//! What a user has to accept before a machine is used: the files outside the store that its record
//! names, and a host key that is not the pinned one.

use std::path::{Path, PathBuf};

use rmachine_driver::{Driver, DriverError, FirstContact, MachineName, NamedFile};
use rmachine_machine::{Record, StoreSource};
use rmachine_ssh::{ConnectOptions, HostKey, offered_host_key, pinned, replace_pin};

use crate::{LifecycleError, MachineSpec, Machines, bounds};

/// The field of the record that names the program of a KV store's server.
const STORE_PROGRAM: &str = "Rmachine.Store.Source.Program";

/// The host key that a machine shows, and those that are pinned for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OfferedHostKey {
    /// The key that the host shows.
    pub offered: HostKey,
    /// The pinned keys; empty when the pin was lost.
    pub pinned: Vec<HostKey>,
    known_hosts: PathBuf,
    alias: String,
}

impl OfferedHostKey {
    /// Whether connections accept the key already.
    pub fn is_pinned(&self) -> bool {
        self.pinned.contains(&self.offered)
    }
}

impl Machines {
    /// Returns the files outside the store that a machine's record names and that the user has not
    /// approved.
    ///
    /// # Errors
    /// When the record or the list of approvals cannot be read.
    pub fn unapproved_files(&self, name: &MachineName) -> Result<Vec<NamedFile>, LifecycleError> {
        let record = self.store.load(name)?;
        let kind = self.kind(record.driver_name())?;
        let context = self.store.driver_context(name, FirstContact::Reject);
        let driver = kind.load(context, record.driver.clone())?;
        let mut files = driver.named_files();
        files.extend(store_program(&record));
        files.extend(shared_certificates(&record));
        self.unapproved(name, &files)
    }

    /// Approves files outside the store for a machine, so that its record may name them.
    ///
    /// # Errors
    /// When the list of approvals cannot be written.
    pub fn approve_files(
        &self,
        name: &MachineName,
        files: &[NamedFile],
    ) -> Result<(), LifecycleError> {
        let approved = &self.settings.approved_paths;
        Ok(approved.approve(self.store.layout(), name, files)?)
    }

    /// Asks a machine's host for its host key. Pins nothing.
    ///
    /// Returns `None` for machines that SSH does not reach.
    ///
    /// # Errors
    /// When the host is not reached; when the record names a file that is not approved.
    pub async fn offered_host_key(
        &self,
        name: &MachineName,
    ) -> Result<Option<OfferedHostKey>, LifecycleError> {
        let driver = self.driver(&self.store.load(name)?)?;
        let Some(endpoint) = driver.ssh().await? else {
            return Ok(None);
        };
        let options = ConnectOptions {
            limit: bounds::CONNECT,
            ..self.settings.ssh.clone()
        };
        let offered = offered_host_key(&endpoint, &options).await?;
        Ok(Some(OfferedHostKey {
            offered,
            pinned: pinned(&endpoint.known_hosts, &endpoint.host_key_alias)?,
            known_hosts: endpoint.known_hosts,
            alias: endpoint.host_key_alias,
        }))
    }

    /// Pins the key that a machine's host showed, in place of those that were pinned.
    ///
    /// # Errors
    /// When the machine is in use, or the key cannot be written.
    pub fn accept_host_key(
        &self,
        name: &MachineName,
        key: &OfferedHostKey,
    ) -> Result<(), LifecycleError> {
        let _guard = self.edit(name)?;
        Ok(replace_pin(&key.known_hosts, &key.alias, &key.offered)?)
    }

    /// Rejects a file outside the store that a machine's record names, unless the user approved it.
    /// Called before such a file is read.
    pub(crate) fn require_approved(
        &self,
        name: &MachineName,
        field: &'static str,
        path: &Path,
    ) -> Result<(), LifecycleError> {
        let file = NamedFile {
            field,
            path: path.to_owned(),
        };
        match self.unapproved(name, &[file])?.into_iter().next() {
            None => Ok(()),
            Some(file) => Err(DriverError::UnapprovedFile {
                machine: name.clone(),
                file,
            }
            .into()),
        }
    }

    /// As [`Machines::require_approved`], for the program of a KV store's server.
    pub(crate) fn require_approved_program(
        &self,
        name: &MachineName,
        source: &StoreSource,
    ) -> Result<(), LifecycleError> {
        match source {
            StoreSource::Program(path) => self.require_approved(name, STORE_PROGRAM, path),
            StoreSource::Image(_) | StoreSource::Package => Ok(()),
        }
    }

    pub(crate) fn unapproved(
        &self,
        name: &MachineName,
        files: &[NamedFile],
    ) -> Result<Vec<NamedFile>, LifecycleError> {
        let approved = &self.settings.approved_paths;
        Ok(approved.unapproved(self.store.layout(), name, files)?)
    }

    /// Approves the files that the user's own flags name; `configured` is the driver that they
    /// configure, `record` the record that is made of them.
    pub(crate) fn approve_requested(
        &self,
        spec: &MachineSpec,
        configured: &dyn Driver,
        record: &Record,
    ) -> Result<(), LifecycleError> {
        let mut files = configured.named_files();
        files.extend(store_program(record));
        files.extend(shared_certificates(record));
        self.approve_files(&spec.name, &files)
    }

    /// Forgets the approvals of a machine that was removed.
    pub(crate) fn forget_approvals(&self, name: &MachineName) -> Result<(), LifecycleError> {
        let approved = &self.settings.approved_paths;
        Ok(approved.forget(self.store.layout(), name)?)
    }
}

/// The CA and the client's identity, which are outside the store where `--tls-ca-cert` and its like
/// named them.
fn shared_certificates(record: &Record) -> [NamedFile; 4] {
    let auth = &record.auth;
    [
        ("HostOptions.AuthOptions.CaCertPath", &auth.ca_cert_path),
        (
            "HostOptions.AuthOptions.CaPrivateKeyPath",
            &auth.ca_private_key_path,
        ),
        (
            "HostOptions.AuthOptions.ClientCertPath",
            &auth.client_cert_path,
        ),
        (
            "HostOptions.AuthOptions.ClientKeyPath",
            &auth.client_key_path,
        ),
    ]
    .map(|(field, path)| NamedFile {
        field,
        path: path.clone(),
    })
}

fn store_program(record: &Record) -> Option<NamedFile> {
    match &record.own.store.as_ref()?.source {
        StoreSource::Program(path) => Some(NamedFile {
            field: STORE_PROGRAM,
            path: path.clone(),
        }),
        StoreSource::Image(_) | StoreSource::Package => None,
    }
}
