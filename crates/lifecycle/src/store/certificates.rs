use rmachine_companion::part::Certificates;
use rmachine_companion::server::Consul;
use rmachine_driver::MachineName;
use rmachine_machine::{MachineFile, MachineGuard, Record, SharedPem};
use rmachine_pki::{KeyType, ServerRequest};

use super::Reference;
use super::serve::is_of_machine;
use crate::certificates::{STORES, of, usable};
use crate::names::Names;
use crate::{LifecycleError, Machines, bounds};

/// Whether a machine has to do with stores of machines, as a server or as a client.
pub(crate) fn uses_store(record: &Record) -> bool {
    record.own.store.is_some()
        || is_of_machine(&record.engine)
        || matches!(Reference::read(&record.swarm.discovery), Ok(Some(_)))
}

impl Machines {
    /// What a machine shows to servers of stores, and as one: its own certificate while it covers
    /// the needed names, else a new one.
    ///
    /// Their authority is another one than that of engines: whoever takes over a node gets into
    /// the store that the node uses, and commands no engine.
    pub(crate) fn store_certificates(
        &self,
        guard: &MachineGuard,
        names: &Names,
        key: KeyType,
    ) -> Result<Certificates, LifecycleError> {
        let paths = self.certificates();
        let lock = guard.lock_certificates(bounds::CERTIFICATE_LOCK)?;
        let (authority, ca) = self.authority(&paths, &lock, STORES, key)?;
        drop(lock);
        let certificate = guard.read_file(MachineFile::StoreCertificate)?;
        let found = certificate.zip(guard.read_file(MachineFile::StoreKey)?);
        let (certificate, key) = match found {
            Some((certificate, key)) if usable(&certificate, &key, &ca, &names.needed) => {
                (certificate, key)
            }
            _ => {
                let made = authority
                    .issue_server(&ServerRequest {
                        name: guard.name().to_string(),
                        organization: self.settings.organization.clone(),
                        sans: names.all.clone(),
                        client_auth: true,
                        key,
                    })
                    .map_err(of("a new certificate for a store"))?;
                guard.write_file(MachineFile::StoreKey, made.key.expose().as_bytes())?;
                guard.write_file(MachineFile::StoreCertificate, made.certificate.as_bytes())?;
                (made.certificate, made.key.expose().to_owned())
            }
        };
        Ok(Certificates {
            ca,
            certificate,
            key,
        })
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
