use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use rmachine_driver::{DriverError, MachineName, MachineState};
use rmachine_lifecycle::Machines;
use rmachine_machine::StoreError;

use crate::journal::ClusterJournal;
use crate::model::Cluster;
use crate::plan::{Found, Seen, There};
use crate::{ClusterError, bounds};

/// Looks at what is there of a cluster, at all its machines at once.
///
/// # Errors
/// When the store cannot be read; what is wrong with one machine is in what was found of it.
pub async fn look(
    cluster: &Cluster,
    journal: Option<&ClusterJournal>,
    machines: &Machines,
) -> Result<There, ClusterError> {
    let owned = journal.map_or_else(BTreeMap::new, |journal| journal.machines.clone());
    let wanted = cluster.members.iter().map(|member| member.name());
    let names: BTreeSet<&MachineName> = wanted.chain(owned.keys()).collect();
    let found = join_all(names.into_iter().map(async |name| {
        let found = found(name, machines).await?;
        Ok::<_, ClusterError>(found.map(|found| (name.clone(), found)))
    }));
    let found: Result<Vec<_>, _> = found.await.into_iter().collect();
    Ok(There {
        machines: found?.into_iter().flatten().collect(),
        owned,
    })
}

async fn found(name: &MachineName, machines: &Machines) -> Result<Option<Found>, ClusterError> {
    let record = match machines.store().load(name) {
        Ok(record) => record,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error @ (StoreError::Corrupt { .. } | StoreError::FromTheFuture { .. })) => {
            return Ok(Some(Found::Unreadable(error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    let driver = match machines.driver(&record) {
        Ok(driver) => driver,
        Err(error) => return Ok(Some(Found::Unreadable(error.to_string()))),
    };
    let mut seen = Seen::of(&record, driver.as_ref());
    match tokio::time::timeout(bounds::STATE, machines.state_of(&record, driver.as_ref())).await {
        Ok(Ok(MachineState::None)) => {}
        Ok(Ok(state)) => seen.state = Some(state),
        Ok(Err(DriverError::Gone { .. })) => seen.gone = seen.next.is_none(),
        Ok(Err(_)) | Err(_) => {}
    }
    Ok(Some(Found::Machine(Box::new(seen))))
}
