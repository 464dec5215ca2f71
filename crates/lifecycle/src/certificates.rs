use rmachine_companion::part::Certificates;
use rmachine_driver::Secret;
use rmachine_machine::{CertificateLock, CertificatePaths, MachineFile, MachineGuard, SharedPem};
use rmachine_pki::{Authority, CertificateInfo, KeyType, San, ServerRequest, verify_chain};
use rmachine_provision::TlsMaterial;
use time::OffsetDateTime;

use crate::names::Names;
use crate::{LifecycleError, Machines, bounds};

/// A certificate with fewer days left is made anew whenever one is needed.
const RENEWED_BEFORE_DAYS: i64 = 30;

/// An authority: its files, and what a machine has of it.
#[derive(Clone, Copy)]
pub(crate) struct Anchor {
    certificate: SharedPem,
    key: SharedPem,
    trusted: MachineFile,
}

/// The authority of engines and their clients.
const ENGINES: Anchor = Anchor {
    certificate: SharedPem::CaCertificate,
    key: SharedPem::CaKey,
    trusted: MachineFile::CaCertificate,
};

/// The authority of stores and their clients.
pub(crate) const STORES: Anchor = Anchor {
    certificate: SharedPem::StoreCaCertificate,
    key: SharedPem::StoreCaKey,
    trusted: MachineFile::StoreCertificate,
};

/// The authority and the client's identity, which all machines share.
pub(crate) struct SharedCertificates {
    authority: Authority,
    ca: String,
    client: String,
    client_key: Secret,
}

impl Machines {
    /// Reads the shared certificates, and makes what is not there yet.
    ///
    /// All of it happens under one lock, so that however many processes start on an empty store,
    /// one makes the authority and the others find it. In a dry run, nothing that is made is kept.
    pub(crate) fn shared_certificates(
        &self,
        guard: &MachineGuard,
        key: KeyType,
    ) -> Result<SharedCertificates, LifecycleError> {
        let paths = self.certificates();
        let lock = guard.lock_certificates(bounds::CERTIFICATE_LOCK)?;
        let (authority, ca) = self.authority(&paths, &lock, ENGINES, key)?;
        let (client, client_key) = self.client(&paths, &lock, &authority, &ca, key)?;
        Ok(SharedCertificates {
            authority,
            ca,
            client,
            client_key,
        })
    }

    /// Makes the client's certificate anew, from the authority that the machines trust. Machines
    /// get it at their next provisioning; the one they have stays good until it ends.
    ///
    /// # Errors
    /// When the authority cannot be used, or the certificate cannot be written.
    pub fn renew_client_certificate(&self) -> Result<(), LifecycleError> {
        let paths = self.certificates();
        let lock = self.store.lock_certificates(bounds::CERTIFICATE_LOCK)?;
        let key = KeyType::default();
        let (authority, _) = self.authority(&paths, &lock, ENGINES, key)?;
        self.new_client(&paths, &lock, &authority, key)?;
        Ok(())
    }

    /// Reads an authority, and makes one where there is none.
    pub(crate) fn authority(
        &self,
        paths: &CertificatePaths,
        lock: &CertificateLock,
        anchor: Anchor,
        key: KeyType,
    ) -> Result<(Authority, String), LifecycleError> {
        let half = |present, missing| LifecycleError::HalfPair {
            present: shown(paths, present),
            missing: shown(paths, missing),
        };
        let certificate = paths.read(anchor.certificate)?;
        let private = paths.read(anchor.key)?;
        match (certificate, private) {
            (Some(certificate), Some(private)) => {
                let authority = Authority::load(&certificate, &private)
                    .map_err(of(shown(paths, anchor.certificate)))?;
                Ok((authority, certificate))
            }
            (Some(_), None) => Err(half(anchor.certificate, anchor.key)),
            // The key is written first. Alone, and with no machine that trusts its certificate,
            // it is what a process left that ended between the two.
            (None, Some(_)) if self.some_machine_has(anchor.trusted)? => {
                Err(half(anchor.key, anchor.certificate))
            }
            (None, _) => {
                let (authority, made) = Authority::create(&self.settings.organization, key)
                    .map_err(of("a new certificate authority"))?;
                paths.write(lock, anchor.key, made.key.expose())?;
                paths.write(lock, anchor.certificate, &made.certificate)?;
                Ok((authority, made.certificate))
            }
        }
    }

    fn some_machine_has(&self, file: MachineFile) -> Result<bool, LifecycleError> {
        for name in self.store.names()? {
            if self.store.read_file(&name, file)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn client(
        &self,
        paths: &CertificatePaths,
        lock: &CertificateLock,
        authority: &Authority,
        ca: &str,
        key: KeyType,
    ) -> Result<(String, Secret), LifecycleError> {
        let certificate = paths.read(SharedPem::ClientCertificate)?;
        let private = paths.read(SharedPem::ClientKey)?;
        if let (Some(certificate), Some(private)) = (certificate, private)
            && usable(&certificate, &private, ca, &[])
        {
            return Ok((certificate, Secret::new(private)));
        }
        self.new_client(paths, lock, authority, key)
    }

    fn new_client(
        &self,
        paths: &CertificatePaths,
        lock: &CertificateLock,
        authority: &Authority,
        key: KeyType,
    ) -> Result<(String, Secret), LifecycleError> {
        let made = authority
            .issue_client(&self.settings.organization, key)
            .map_err(of("a new client certificate"))?;
        paths.write(lock, SharedPem::ClientKey, made.key.expose())?;
        paths.write(lock, SharedPem::ClientCertificate, &made.certificate)?;
        Ok((made.certificate, Secret::new(made.key.expose())))
    }
}

impl SharedCertificates {
    /// Copies what a client needs into the machine's directory, where `env` points.
    pub(crate) fn give_to(&self, guard: &MachineGuard) -> Result<(), LifecycleError> {
        for (file, text) in [
            (MachineFile::CaCertificate, self.ca.as_str()),
            (MachineFile::ClientKey, self.client_key.expose()),
            (MachineFile::ClientCertificate, self.client.as_str()),
        ] {
            if guard.read_file(file)?.as_deref() != Some(text) {
                guard.write_file(file, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// The engine's certificate: the machine's own while it covers the needed names, else a new one.
    pub(crate) fn server(
        &self,
        guard: &MachineGuard,
        organization: &str,
        names: Names,
        key: KeyType,
        client_auth: bool,
    ) -> Result<TlsMaterial, LifecycleError> {
        let certificate = guard.read_file(MachineFile::ServerCertificate)?;
        let private = guard.read_file(MachineFile::ServerKey)?;
        if let (Some(certificate), Some(private)) = (certificate, private)
            && usable(&certificate, &private, &self.ca, &names.needed)
            && (!client_auth || has_client_auth(&certificate))
        {
            return Ok(self.material(certificate, private));
        }
        let made = self
            .authority
            .issue_server(&ServerRequest {
                name: guard.name().to_string(),
                organization: organization.to_owned(),
                sans: names.all,
                client_auth,
                key,
            })
            .map_err(of("a new server certificate"))?;
        guard.write_file(MachineFile::ServerKey, made.key.expose().as_bytes())?;
        guard.write_file(MachineFile::ServerCertificate, made.certificate.as_bytes())?;
        Ok(self.material(made.certificate, made.key.expose().to_owned()))
    }

    /// The certificate of the cluster's agent on a machine: its own while it can be used, else a
    /// new one.
    pub(crate) fn agent(
        &self,
        guard: &MachineGuard,
        organization: &str,
        key: KeyType,
    ) -> Result<Certificates, LifecycleError> {
        let certificate = guard.read_file(MachineFile::AgentCertificate)?;
        let private = guard.read_file(MachineFile::AgentKey)?;
        let found = certificate.zip(private);
        let (certificate, key) = match found {
            Some((certificate, private)) if usable(&certificate, &private, &self.ca, &[]) => {
                (certificate, private)
            }
            _ => {
                let made = self
                    .authority
                    .issue_agent(&ServerRequest {
                        name: guard.name().to_string(),
                        organization: organization.to_owned(),
                        sans: Vec::new(),
                        client_auth: false,
                        key,
                    })
                    .map_err(of("a new certificate for the cluster's agent"))?;
                guard.write_file(MachineFile::AgentKey, made.key.expose().as_bytes())?;
                guard.write_file(MachineFile::AgentCertificate, made.certificate.as_bytes())?;
                (made.certificate, made.key.expose().to_owned())
            }
        };
        Ok(Certificates {
            ca: self.ca.clone(),
            certificate,
            key,
        })
    }

    fn material(&self, certificate: String, key: String) -> TlsMaterial {
        TlsMaterial {
            ca: self.ca.clone(),
            certificate,
            key: Secret::new(key),
        }
    }
}

/// Whether a certificate can go on being used. One that cannot be read is no longer of use either,
/// so that a file that was damaged heals.
pub(crate) fn usable(certificate: &str, key: &str, ca: &str, sans: &[San]) -> bool {
    let now = OffsetDateTime::now_utc();
    CertificateInfo::read(certificate)
        .is_ok_and(|info| info.days_left(now) > RENEWED_BEFORE_DAYS && info.covers(sans))
        && verify_chain(certificate, ca, now).is_ok()
        && rmachine_pki::key_matches(certificate, key).unwrap_or(false)
}

fn has_client_auth(certificate: &str) -> bool {
    CertificateInfo::read(certificate).is_ok_and(|info| info.client_auth)
}

fn shown(paths: &CertificatePaths, pem: SharedPem) -> String {
    paths.path(pem).display().to_string()
}

pub(crate) fn of(what: impl Into<String>) -> impl FnOnce(rmachine_pki::PkiError) -> LifecycleError {
    let what = what.into();
    move |source| LifecycleError::Certificate { what, source }
}
