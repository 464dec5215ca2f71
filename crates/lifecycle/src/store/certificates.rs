use rmachine_companion::part::Certificates;
use rmachine_companion::server::Consul;
use rmachine_driver::{MachineName, Secret};
use rmachine_machine::{MachineFile, MachineGuard, Record, SharedPem};
use rmachine_pki::{KeyType, San, ServerRequest};
use rmachine_provision::TlsMaterial;

use super::Reference;
use super::serve::is_of_machine;
use crate::certificates::{Pair, Requirement, STORES, State, of, state};
use crate::{LifecycleError, Machines, bounds};

/// Whether a machine has to do with stores of machines, as a server or as a client.
pub(crate) fn uses_store(record: &Record) -> bool {
    record.own.store.is_some()
        || is_of_machine(&record.engine)
        || matches!(Reference::read(&record.swarm.discovery), Ok(Some(_)))
}

impl Machines {
    /// What a machine shows to servers of stores, and as one: its own certificate while it is valid
    /// for exactly these names, else a new one.
    ///
    /// Their authority is another one than that of engines: whoever takes over a node gets into
    /// the store that the node uses, and commands no engine.
    pub(crate) fn store_certificates(
        &self,
        guard: &MachineGuard,
        sans: &[San],
        key: KeyType,
    ) -> Result<TlsMaterial, LifecycleError> {
        let paths = self.certificates();
        let lock = self.store.lock_certificates(bounds::CERTIFICATE_LOCK)?;
        let (authority, ca) = self.authority(&paths, &lock, STORES, key)?;
        drop(lock);
        let requirement = Requirement {
            purpose: None,
            client_auth: true,
            sans,
        };
        let request = ServerRequest {
            name: guard.name().to_string(),
            organization: self.settings.organization.clone(),
            sans: sans.to_vec(),
            client_auth: true,
            key,
        };
        let (issued, replaces) = match Pair::STORE.read(guard)? {
            None => (authority.issue_server(&request), None),
            Some((certificate, key)) => match state(&certificate, &key, &ca, &requirement) {
                State::Valid => return Ok(material(ca, certificate, key, None)),
                State::TooBroad(info) => {
                    (authority.replace_server(&request, &info), Some(certificate))
                }
                State::Unusable => (authority.issue_server(&request), None),
            },
        };
        let issued = issued.map_err(of("a new certificate for a store"))?;
        let (certificate, key) = Pair::STORE.write(guard, &issued)?;
        Ok(material(ca, certificate, key, replaces))
    }

    /// What a machine was given by [`Machines::store_certificates`].
    pub(crate) fn store_identity(
        &self,
        name: &MachineName,
    ) -> Result<Certificates, LifecycleError> {
        Ok(Certificates {
            ca: self.store_pem(SharedPem::StoreCaCertificate)?,
            certificate: self.certificate_file(name, MachineFile::StoreCertificate)?,
            key: self.certificate_file(name, MachineFile::StoreKey)?,
        })
    }

    /// The key of what servers of Consul tell each other.
    pub(crate) fn gossip_key(&self) -> Result<String, LifecycleError> {
        Ok(Consul::gossip_key(&self.store_pem(SharedPem::StoreCaKey)?))
    }

    fn store_pem(&self, pem: SharedPem) -> Result<String, LifecycleError> {
        let paths = self.certificates();
        let text = paths.read(pem)?;
        text.ok_or_else(|| LifecycleError::HalfPair {
            present: paths.dir().display().to_string(),
            missing: paths.path(pem).display().to_string(),
        })
    }
}

fn material(ca: String, certificate: String, key: String, replaces: Option<String>) -> TlsMaterial {
    TlsMaterial {
        ca,
        certificate,
        key: Secret::new(key),
        replaces,
    }
}
