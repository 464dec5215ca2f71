use rmachine_companion::part::Certificates;
use rmachine_driver::Secret;
use rmachine_machine::{MachineFile, MachineGuard};
use rmachine_pki::{CertifiedPem, Purpose, San, ServerRequest};
use rmachine_provision::TlsMaterial;

use super::{Requirement, SharedCertificates, State, of, state};
use crate::LifecycleError;

impl SharedCertificates {
    /// The engine's certificate, which makes it a server and a client of nothing: the machine's own
    /// while it is valid for exactly these names, else a new one.
    pub(crate) fn server(
        &self,
        guard: &MachineGuard,
        organization: &str,
        sans: &[San],
    ) -> Result<TlsMaterial, LifecycleError> {
        let requirement = Requirement {
            purpose: None,
            client_auth: false,
            sans,
        };
        let present = Pair::SERVER.read(guard)?;
        let request = self.request(guard, organization, &requirement);
        let (issued, replaces) = match present {
            None => (self.authority.issue_server(&request), None),
            Some((certificate, key)) => match state(&certificate, &key, &self.ca, &requirement) {
                State::Valid => return Ok(self.material(certificate, key, None)),
                State::TooBroad(info) => (
                    self.authority.replace_server(&request, &info),
                    Some(certificate),
                ),
                State::Unusable => (self.authority.issue_server(&request), None),
            },
        };
        let issued = issued.map_err(of("a new server certificate"))?;
        let (certificate, key) = Pair::SERVER.write(guard, &issued)?;
        Ok(self.material(certificate, key, replaces))
    }

    /// The certificate of the cluster's manager on a machine: its own while it is valid for exactly
    /// these names, else a new one.
    pub(crate) fn manager(
        &self,
        guard: &MachineGuard,
        organization: &str,
        sans: &[San],
    ) -> Result<Certificates, LifecycleError> {
        let requirement = Requirement {
            purpose: Some(Purpose::Manager),
            client_auth: true,
            sans,
        };
        self.of_role(guard, organization, Pair::MANAGER, &requirement)
    }

    /// The certificate of the cluster's agent on a machine: its own while it is valid for exactly
    /// the address that the agent advertises, else a new one.
    pub(crate) fn agent(
        &self,
        guard: &MachineGuard,
        organization: &str,
        advertised: San,
    ) -> Result<Certificates, LifecycleError> {
        let requirement = Requirement {
            purpose: Some(Purpose::Agent),
            client_auth: false,
            sans: &[advertised],
        };
        self.of_role(guard, organization, Pair::AGENT, &requirement)
    }

    fn of_role(
        &self,
        guard: &MachineGuard,
        organization: &str,
        pair: Pair,
        requirement: &Requirement<'_>,
    ) -> Result<Certificates, LifecycleError> {
        let present = pair.read(guard)?.filter(|(certificate, key)| {
            matches!(state(certificate, key, &self.ca, requirement), State::Valid)
        });
        let (certificate, key) = match present {
            Some(present) => present,
            None => {
                let request = self.request(guard, organization, requirement);
                let issued = match requirement.purpose {
                    Some(Purpose::Manager) => self.authority.issue_manager(&request),
                    Some(Purpose::Agent) => self.authority.issue_agent(&request),
                    None => self.authority.issue_server(&request),
                };
                let issued = issued.map_err(of("a new certificate of a manager or an agent"))?;
                pair.write(guard, &issued)?
            }
        };
        Ok(Certificates {
            ca: self.ca.clone(),
            certificate,
            key,
        })
    }

    fn request(
        &self,
        guard: &MachineGuard,
        organization: &str,
        requirement: &Requirement<'_>,
    ) -> ServerRequest {
        ServerRequest {
            name: guard.name().to_string(),
            organization: organization.to_owned(),
            sans: requirement.sans.to_vec(),
            client_auth: requirement.client_auth,
            key: self.key,
        }
    }

    fn material(&self, certificate: String, key: String, replaces: Option<String>) -> TlsMaterial {
        TlsMaterial {
            ca: self.ca.clone(),
            certificate,
            key: Secret::new(key),
            replaces,
        }
    }
}

/// The files of a certificate and its key in a machine's directory.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    certificate: MachineFile,
    key: MachineFile,
}

impl Pair {
    pub(crate) const SERVER: Self = Self {
        certificate: MachineFile::ServerCertificate,
        key: MachineFile::ServerKey,
    };
    pub(crate) const MANAGER: Self = Self {
        certificate: MachineFile::ManagerCertificate,
        key: MachineFile::ManagerKey,
    };
    pub(crate) const AGENT: Self = Self {
        certificate: MachineFile::AgentCertificate,
        key: MachineFile::AgentKey,
    };
    pub(crate) const STORE: Self = Self {
        certificate: MachineFile::StoreCertificate,
        key: MachineFile::StoreKey,
    };

    /// Certificate and key; `None` unless both exist.
    pub(crate) fn read(
        self,
        guard: &MachineGuard,
    ) -> Result<Option<(String, String)>, LifecycleError> {
        let certificate = guard.read_file(self.certificate)?;
        Ok(certificate.zip(guard.read_file(self.key)?))
    }

    /// Writes what was issued, and returns it.
    pub(crate) fn write(
        self,
        guard: &MachineGuard,
        issued: &CertifiedPem,
    ) -> Result<(String, String), LifecycleError> {
        let key = issued.key.expose();
        guard.write_file(self.key, key.as_bytes())?;
        guard.write_file(self.certificate, issued.certificate.as_bytes())?;
        Ok((issued.certificate.clone(), key.to_owned()))
    }

    /// Removes both files, as far as they exist.
    pub(crate) fn remove(self, guard: &MachineGuard) -> Result<(), LifecycleError> {
        guard.remove_file(self.key)?;
        guard.remove_file(self.certificate)?;
        Ok(())
    }
}
