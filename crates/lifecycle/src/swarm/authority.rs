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
