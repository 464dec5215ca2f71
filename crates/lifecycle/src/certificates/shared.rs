use rmachine_driver::{CheckFailure, MachineName, Report, Secret};
use rmachine_machine::{
    CertificateLock, CertificatePaths, MachineFile, MachineGuard, Record, SharedPem,
};
use rmachine_pki::{Authority, KeyType, verify_chain};
use time::OffsetDateTime;

use super::requirement::usable;
use super::{of, rejected};
use crate::wanted::key_type;
use crate::{LifecycleError, Machines, bounds};

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
    pub(super) authority: Authority,
    /// The CA's certificate, in PEM.
    pub(super) ca: String,
    client: String,
    client_key: Secret,
    /// Type of the private keys that are generated for the machine.
    pub(super) key: KeyType,
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

fn shown(paths: &CertificatePaths, pem: SharedPem) -> String {
    paths.path(pem).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rmachine_machine::{CertificateOverrides, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::Settings;

    /// The machines of a new store, with the user's own authority where `own` is set.
    fn machines(dir: &TempDir, own: bool) -> Machines {
        let file = |name: &str| own.then(|| dir.path().join("own").join(name));
        let settings = Settings {
            organization: "ann".to_owned(),
            certificates: CertificateOverrides {
                ca_certificate: file("ca.pem"),
                ca_key: file("ca-key.pem"),
                client_certificate: file("cert.pem"),
                client_key: file("key.pem"),
            },
            ..Settings::default()
        };
        let store = Store::open(dir.path().join("store")).unwrap();
        Machines::new(store, Vec::new(), settings)
    }

    fn machine(machines: &Machines, name: &str) -> MachineGuard {
        let record = Record::new(
            machines.store.layout(),
            &machines.certificates(),
            name.parse().unwrap(),
            "none",
            Default::default(),
        );
        machines.store.create(record, Duration::ZERO).unwrap()
    }

    fn give(machines: &Machines, guard: &MachineGuard) -> Result<String, LifecycleError> {
        let shared = machines.shared_certificates(guard)?;
        shared.give_to(guard)?;
        Ok(shared.ca)
    }

    fn failure(error: &LifecycleError) -> String {
        match error {
            LifecycleError::Check(failures) => format!("{failures:?}"),
            other => other.to_string(),
        }
    }

    /// Names and contents of all files under a directory.
    fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(self::files(&path));
            } else {
                let content = std::fs::read(&path).unwrap();
                files.push((path, content));
            }
        }
        files.sort();
        files
    }

    #[test]
    fn certificates_come_from_the_authority_of_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let n1 = machine(&machines(&dir, true), "n1");
        let own = give(&machines(&dir, true), &n1).unwrap();
        // Without the flags, and with another machine in the store that has the store's authority.
        let plain = machines(&dir, false);
        let n2 = machine(&plain, "n2");
        assert_ne!(give(&plain, &n2).unwrap(), own);
        assert_eq!(give(&plain, &n1).unwrap(), own);
        // With the flags, n2 keeps its own.
        assert_ne!(give(&machines(&dir, true), &n2).unwrap(), own);
    }

    #[test]
    fn missing_file_of_the_users_authority_is_rejected_and_changes_nothing() {
        for file in ["ca.pem", "ca-key.pem"] {
            let dir = tempfile::tempdir().unwrap();
            let n1 = machine(&machines(&dir, true), "n1");
            give(&machines(&dir, true), &n1).unwrap();
            let path = dir.path().join("own").join(file);
            std::fs::remove_file(&path).unwrap();
            let before = files(dir.path());
            let plain = machines(&dir, false);
            let rejected = failure(&give(&plain, &n1).unwrap_err());
            assert!(rejected.contains(path.to_str().unwrap()), "{rejected}");
            let names = [n1.name().clone()];
            let rejected = failure(&plain.renew_client_certificates(&names).unwrap_err());
            assert!(rejected.contains(path.to_str().unwrap()), "{rejected}");
            assert_eq!(files(dir.path()), before);
        }
    }

    #[test]
    fn users_client_certificate_is_replaced_on_request_only() {
        let dir = tempfile::tempdir().unwrap();
        let machines = machines(&dir, true);
        let n1 = machine(&machines, "n1");
        give(&machines, &n1).unwrap();
        let client = dir.path().join("own/cert.pem");
        let (stranger, _) = Authority::create("eve", KeyType::Ecdsa).unwrap();
        let issued = stranger.issue_client("eve", KeyType::Ecdsa).unwrap();
        std::fs::write(&client, &issued.certificate).unwrap();
        let rejected = failure(&give(&machines, &n1).unwrap_err());
        assert!(rejected.contains("--client-certs n1"), "{rejected}");
        assert_eq!(
            std::fs::read_to_string(&client).unwrap(),
            issued.certificate
        );
        let names = [n1.name().clone()];
        machines.renew_client_certificates(&names).unwrap();
        give(&machines, &n1).unwrap();
    }

    #[test]
    fn relative_path_in_a_record_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let machines = machines(&dir, false);
        let n1 = machine(&machines, "n1");
        n1.update(|record| record.auth.ca_cert_path = "ca.pem".into())
            .unwrap();
        let rejected = failure(&give(&machines, &n1).unwrap_err());
        assert!(rejected.contains("relative") && rejected.contains("config.json"));
    }
}
