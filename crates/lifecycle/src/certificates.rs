use rmachine_companion::part::Certificates;
use rmachine_driver::{CheckFailure, MachineName, Report, Secret};
use rmachine_machine::{
    CertificateLock, CertificatePaths, MachineFile, MachineGuard, Record, SharedPem,
};
use rmachine_pki::{
    Authority, CertificateInfo, CertifiedPem, KeyType, PkiError, Purpose, San, ServerRequest,
    verify_chain,
};
use rmachine_provision::TlsMaterial;
use time::OffsetDateTime;

use crate::wanted::key_type;
use crate::{LifecycleError, Machines, bounds};

/// A certificate with fewer days left is renewed whenever one is needed.
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

/// The certificate authority of a machine and the identity of its clients.
pub(crate) struct SharedCertificates {
    authority: Authority,
    /// The CA's certificate, in PEM.
    ca: String,
    client: String,
    client_key: Secret,
    /// Type of the private keys that are generated for the machine.
    key: KeyType,
}

impl Machines {
    /// Reads the certificates that the machine's record names, and creates those that do not exist
    /// yet.
    ///
    /// All of it happens under one lock: of several processes that start on an empty store, one
    /// creates the authority and the others read it.
    ///
    /// # Errors
    /// [`LifecycleError::Check`] for the user's own files that are missing or cannot be used: they
    /// are neither created for a machine that trusts them already, nor replaced.
    pub(crate) fn shared_certificates(
        &self,
        guard: &MachineGuard,
    ) -> Result<SharedCertificates, LifecycleError> {
        let record = guard.record();
        let key = key_type(&record)?;
        let paths = self.certificates_of(&record)?;
        let lock = self.store.lock_certificates(bounds::CERTIFICATE_LOCK)?;
        let is_trusted = guard.read_file(MachineFile::CaCertificate)?.is_some();
        if is_trusted {
            own_authority_exists(guard.name(), &paths)?;
        }
        let (authority, ca) = self.authority(&paths, &lock, ENGINES, key)?;
        let (client, client_key) =
            self.client(guard.name(), &paths, &lock, &authority, &ca, key)?;
        Ok(SharedCertificates {
            authority,
            ca,
            client,
            client_key,
            key,
        })
    }

    /// The shared certificates and keys that a machine's record names.
    ///
    /// # Errors
    /// [`LifecycleError::Check`] for a relative path: what it names depends on the directory in
    /// which rmachine is started.
    pub(crate) fn certificates_of(
        &self,
        record: &Record,
    ) -> Result<CertificatePaths, LifecycleError> {
        let paths = self.store.certificates_of(record);
        let relative = OF_ENGINES
            .iter()
            .find(|pem| !paths.path(**pem).is_absolute());
        match relative {
            None => Ok(paths),
            Some(pem) => Err(rejected(CheckFailure {
                subject: format!("record of {}", record.name()),
                finding: format!(
                    "the path {:?} of a certificate or key is relative",
                    paths.path(*pem)
                ),
                remedy: format!(
                    "make the paths under HostOptions.AuthOptions in {} absolute",
                    self.store.layout().record(record.name()).display()
                ),
            })),
        }
    }

    /// Warns about certificate flags that differ from a machine's record: the record counts.
    pub(crate) fn warn_about_other_authority(
        &self,
        record: &Record,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let recorded = self.certificates_of(record)?;
        let overrides = &self.settings.certificates;
        let requested = self.certificates();
        for (is_given, pem) in [
            (overrides.ca_certificate.is_some(), SharedPem::CaCertificate),
            (overrides.ca_key.is_some(), SharedPem::CaKey),
            (
                overrides.client_certificate.is_some(),
                SharedPem::ClientCertificate,
            ),
            (overrides.client_key.is_some(), SharedPem::ClientKey),
        ] {
            if is_given && recorded.path(pem) != requested.path(pem) {
                report.warn(&format!(
                    "{} keeps {}, with which it was created; {} is for new machines only",
                    record.name(),
                    recorded.path(pem).display(),
                    requested.path(pem).display()
                ));
            }
        }
        Ok(())
    }

    /// Renews the client certificates of machines, each from the authority that its record names.
    /// Machines get it at their next provisioning; the one they have stays valid until it expires.
    ///
    /// # Errors
    /// When an authority cannot be used, or a certificate cannot be written.
    pub fn renew_client_certificates(&self, names: &[MachineName]) -> Result<(), LifecycleError> {
        let mut renewed: Vec<CertificatePaths> = Vec::new();
        for name in names {
            let record = self.store.load(name)?;
            let paths = self.certificates_of(&record)?;
            if renewed.contains(&paths) {
                continue;
            }
            own_authority_exists(name, &paths)?;
            let lock = self.store.lock_certificates(bounds::CERTIFICATE_LOCK)?;
            let key = KeyType::default();
            let (authority, _) = self.authority(&paths, &lock, ENGINES, key)?;
            self.new_client(&paths, &lock, &authority, key)?;
            renewed.push(paths);
        }
        Ok(())
    }

    /// Reads an authority, and creates one where there is none.
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
        name: &MachineName,
        paths: &CertificatePaths,
        lock: &CertificateLock,
        authority: &Authority,
        ca: &str,
        key: KeyType,
    ) -> Result<(String, Secret), LifecycleError> {
        let certificate = paths.read(SharedPem::ClientCertificate)?;
        let private = paths.read(SharedPem::ClientKey)?;
        let is_own = paths.is_external(SharedPem::ClientCertificate)
            || paths.is_external(SharedPem::ClientKey);
        match (certificate, private) {
            (None, None) => self.new_client(paths, lock, authority, key),
            (Some(certificate), Some(private)) if is_own => {
                own_client_is_valid(name, paths, &certificate, &private, ca)?;
                Ok((certificate, Secret::new(private)))
            }
            (Some(certificate), Some(private)) if usable(&certificate, &private, ca, &[]) => {
                Ok((certificate, Secret::new(private)))
            }
            (certificate, _) if is_own => {
                let (present, missing) = match certificate {
                    Some(_) => (SharedPem::ClientCertificate, SharedPem::ClientKey),
                    None => (SharedPem::ClientKey, SharedPem::ClientCertificate),
                };
                Err(LifecycleError::HalfPair {
                    present: shown(paths, present),
                    missing: shown(paths, missing),
                })
            }
            _ => self.new_client(paths, lock, authority, key),
        }
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

/// What a certificate has to be, exactly.
pub(crate) struct Requirement<'a> {
    pub(crate) purpose: Option<Purpose>,
    /// Whether its owner is a client of others. Agents are not: only a manager accepts them.
    pub(crate) client_auth: bool,
    pub(crate) sans: &'a [San],
}

/// Whether a certificate that exists can stay.
#[derive(Debug)]
pub(crate) enum State {
    /// It is what is required.
    Valid,
    /// It serves, but names or permits more than is required.
    TooBroad(Box<CertificateInfo>),
    /// It expires soon, lacks a name or a usage, or cannot be read.
    Unusable,
}

/// Compares a certificate with what is required of it.
pub(crate) fn state(
    certificate: &str,
    key: &str,
    ca: &str,
    requirement: &Requirement<'_>,
) -> State {
    let Ok(info) = CertificateInfo::read(certificate) else {
        return State::Unusable;
    };
    let is_agent = requirement.purpose == Some(Purpose::Agent);
    let serves = (info.server_auth || is_agent)
        && (info.client_auth || !requirement.client_auth)
        && (info.purpose == requirement.purpose || requirement.purpose.is_none());
    if !serves || !usable(certificate, key, ca, requirement.sans) {
        return State::Unusable;
    }
    let is_exact = info.purpose == requirement.purpose
        && info.client_auth == requirement.client_auth
        && info.covers_exactly(requirement.sans);
    if is_exact {
        State::Valid
    } else {
        State::TooBroad(Box::new(info))
    }
}

/// Whether a certificate can stay in use. One that cannot be read cannot: a damaged file is
/// replaced.
pub(crate) fn usable(certificate: &str, key: &str, ca: &str, sans: &[San]) -> bool {
    let now = OffsetDateTime::now_utc();
    CertificateInfo::read(certificate)
        .is_ok_and(|info| info.days_left(now) > RENEWED_BEFORE_DAYS && info.covers(sans))
        && verify_chain(certificate, ca, now).is_ok()
        && rmachine_pki::key_matches(certificate, key).unwrap_or(false)
}

/// The files that a record can name outside the machine store.
const OF_ENGINES: [SharedPem; 4] = [
    SharedPem::CaCertificate,
    SharedPem::CaKey,
    SharedPem::ClientCertificate,
    SharedPem::ClientKey,
];

/// Checks that the user's own authority exists. Another one must not take its place: clients of the
/// user's own would be locked out.
fn own_authority_exists(
    name: &MachineName,
    paths: &CertificatePaths,
) -> Result<(), LifecycleError> {
    for pem in [SharedPem::CaCertificate, SharedPem::CaKey] {
        if paths.is_external(pem) && paths.read(pem)?.is_none() {
            return Err(rejected(CheckFailure {
                subject: format!("certificate authority of {name}"),
                finding: format!("{} does not exist", shown(paths, pem)),
                remedy: format!(
                    "restore the file: {name} was created with it, and only this authority can \
                     issue certificates that the clients of {name} accept"
                ),
            }));
        }
    }
    Ok(())
}

/// Checks the user's own client certificate, which rmachine replaces on request only.
fn own_client_is_valid(
    name: &MachineName,
    paths: &CertificatePaths,
    certificate: &str,
    key: &str,
    ca: &str,
) -> Result<(), LifecycleError> {
    let finding = match (
        verify_chain(certificate, ca, OffsetDateTime::now_utc()),
        rmachine_pki::key_matches(certificate, key),
    ) {
        (Ok(()), Ok(true)) => return Ok(()),
        (Err(error), _) | (Ok(()), Err(error)) => error.to_string(),
        (Ok(()), Ok(false)) => format!(
            "{} is the key of another certificate",
            shown(paths, SharedPem::ClientKey)
        ),
    };
    Err(rejected(CheckFailure {
        subject: shown(paths, SharedPem::ClientCertificate),
        finding,
        remedy: format!(
            "replace the certificate and its key, or let the authority of {name} issue new ones: \
             rmachine regenerate-certs --client-certs {name}"
        ),
    }))
}

/// A reason against the work that was requested; nothing was changed.
pub(crate) fn rejected(failure: CheckFailure) -> LifecycleError {
    LifecycleError::Check(vec![failure])
}

fn shown(paths: &CertificatePaths, pem: SharedPem) -> String {
    paths.path(pem).display().to_string()
}

pub(crate) fn of(what: impl Into<String>) -> impl FnOnce(PkiError) -> LifecycleError {
    let what = what.into();
    move |source| LifecycleError::Certificate { what, source }
}
