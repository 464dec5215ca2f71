//! The machines of a cluster have one certificate authority.

use rmachine_driver::CheckFailure;
use rmachine_machine::{Record, SharedPem};

use super::EMBEDDED;
use crate::certificates::rejected;
use crate::{LifecycleError, Machines};

impl Machines {
    /// Checks that the other machines of a machine's cluster have its certificate authority: a
    /// manager is a client of their engines and proves it to them with one certificate.
    ///
    /// # Errors
    /// [`LifecycleError::Check`], which names another machine and both authorities.
    pub(crate) fn check_cluster_authority(&self, record: &Record) -> Result<(), LifecycleError> {
        if !record.swarm.is_swarm {
            return Ok(());
        }
        let own = self.certificates_of(record)?;
        for name in self.store.names()? {
            let Ok(other) = self.store.load(&name) else {
                continue;
            };
            if name == *record.name() || !is_same_cluster(record, &other) {
                continue;
            }
            let Ok(theirs) = self.certificates_of(&other) else {
                continue;
            };
            let [own_path, their_path] =
                [&own, &theirs].map(|paths| paths.path(SharedPem::CaCertificate));
            let is_same = own_path == their_path
                || match (
                    own.read(SharedPem::CaCertificate)?,
                    theirs.read(SharedPem::CaCertificate)?,
                ) {
                    (Some(own), Some(theirs)) => own.trim() == theirs.trim(),
                    _ => false,
                };
            if !is_same {
                return Err(rejected(CheckFailure {
                    subject: "certificate authority".to_owned(),
                    finding: format!(
                        "{} has {}, and {name} of the same cluster has {}",
                        record.name(),
                        own_path.display(),
                        their_path.display()
                    ),
                    remedy: format!(
                        "create the machines of a cluster with one --tls-ca-cert and --tls-ca-key: \
                         those of {name}"
                    ),
                }));
            }
        }
        Ok(())
    }
}

/// Whether two records belong to one classic cluster: one joined the other, or both find its nodes
/// at the same place.
fn is_same_cluster(one: &Record, other: &Record) -> bool {
    let joined = |node: &Record, manager: &Record| {
        node.own.swarm_join.as_ref() == Some(manager.name()) && manager.swarm.master
    };
    let discovery = one.swarm.discovery.as_str();
    let is_shared = !matches!(discovery, "" | EMBEDDED) && discovery == other.swarm.discovery;
    other.swarm.is_swarm && (is_shared || joined(one, other) || joined(other, one))
}

#[cfg(test)]
mod tests {
    use rmachine_driver::MachineName;
    use rmachine_machine::{CertificateOverrides, Store};

    use super::*;
    use crate::Settings;

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    fn record(store: &Store, machine: &str, discovery: &str, authority: Option<&str>) -> Record {
        let overrides = CertificateOverrides {
            ca_certificate: authority.map(|file| store.layout().root().join(file)),
            ..CertificateOverrides::default()
        };
        let certificates = store.certificates(&overrides);
        let mut record = Record::new(
            store.layout(),
            &certificates,
            name(machine),
            "none",
            Default::default(),
        );
        record.swarm.is_swarm = true;
        record.swarm.discovery = discovery.to_owned();
        record
    }

    #[test]
    fn machines_of_one_cluster_need_one_authority() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let machines = Machines::new(store.clone(), Vec::new(), Settings::default());
        let mut manager = record(&store, "m1", EMBEDDED, Some("own.pem"));
        manager.swarm.master = true;
        store.create(manager, std::time::Duration::ZERO).unwrap();
        let shared = record(&store, "e1", "etcd://10.0.0.9:2379", None);
        store.create(shared, std::time::Duration::ZERO).unwrap();
        std::fs::write(dir.path().join("own.pem"), "A").unwrap();
        std::fs::write(dir.path().join("copy.pem"), "A\n").unwrap();
        std::fs::write(dir.path().join("other.pem"), "B").unwrap();
        for (discovery, join, authority, expected) in [
            (EMBEDDED, Some("m1"), Some("own.pem"), None),
            (EMBEDDED, Some("m1"), Some("copy.pem"), None),
            (EMBEDDED, Some("m1"), Some("other.pem"), Some("m1")),
            (EMBEDDED, Some("m1"), None, Some("m1")),
            (EMBEDDED, None, None, None),
            ("etcd://10.0.0.9:2379", None, None, None),
            ("etcd://10.0.0.9:2379", None, Some("own.pem"), Some("e1")),
            ("etcd://10.0.0.8:2379", None, Some("own.pem"), None),
        ] {
            let mut node = record(&store, "n1", discovery, authority);
            node.own.swarm_join = join.map(name);
            let checked = machines.check_cluster_authority(&node);
            let rejected = match checked {
                Ok(()) => None,
                Err(LifecycleError::Check(failures)) => Some(format!("{failures:?}")),
                Err(other) => panic!("{other}"),
            };
            let is_expected = match (&rejected, expected) {
                (None, None) => true,
                (Some(text), Some(machine)) => text.contains(machine),
                _ => false,
            };
            assert!(
                is_expected,
                "{discovery} {join:?} {authority:?}: {rejected:?}"
            );
        }
    }
}
