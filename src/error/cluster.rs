use rmachine_cluster::ClusterError;

use super::told::described;
use super::{CommandError, ErrorKind};

impl CommandError {
    /// What went wrong with a cluster, or with one machine of it.
    pub fn of_cluster(error: ClusterError) -> Self {
        let told = |kind| described(kind, &error);
        match error {
            ClusterError::Busy { .. } => told(ErrorKind::Busy),
            ClusterError::Present { .. } => {
                told(ErrorKind::Failed).hint("rmachine down (removes it)")
            }
            ClusterError::Refused { ref name, .. } => {
                told(ErrorKind::Failed).hint(format!("rmachine inspect {name}"))
            }
            ClusterError::NeedsNew { .. }
            | ClusterError::Corrupt { .. }
            | ClusterError::Unwritable { .. }
            | ClusterError::Io { .. } => told(ErrorKind::Failed),
            ClusterError::Machine(error) => Self::of_lifecycle(*error, "NAME"),
            ClusterError::Store(error) => error.into(),
        }
    }
}
