use rmachine_driver::{Driver, MachineName, MachineState, Report, Secrets, Work};
use rmachine_machine::{MachineGuard, Phase, StoreError};

use crate::host::Booting;
use crate::{LifecycleError, Machines, bounds};

/// How a machine is removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Removal {
    /// The record goes even when the machine behind it cannot be removed.
    pub force: bool,
    /// An adopted host gets back the configuration that its engine had before.
    pub restore: bool,
}

impl Machines {
    /// Removes a machine: what its driver made, then its record. An adopted host stays.
    ///
    /// Returns what could not be done and was passed over by force.
    ///
    /// # Errors
    /// Without force, whatever could not be done; the record then stays. With force, only when the
    /// record itself cannot be removed.
    pub async fn remove(
        &self,
        name: &MachineName,
        removal: Removal,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Option<LifecycleError>, LifecycleError> {
        let guard = match self.edit(name) {
            Ok(guard) => guard,
            Err(LifecycleError::Store(unreadable @ StoreError::Corrupt { .. }))
                if removal.force =>
            {
                let lock = self.store.lock_machine(name, bounds::MACHINE_LOCK)?;
                self.store.remove(&lock)?;
                if let Err(error) = self.forget_approvals(name) {
                    report.warn(&format!(
                        "the approved paths of {name} stay approved: {error}"
                    ));
                }
                return Ok(Some(unreadable.into()));
            }
            Err(error) => return Err(error),
        };
        match self.undo(&guard, removal.restore, report, secrets).await {
            Ok(()) => self.remove_record(guard, report)?,
            Err(error) if removal.force => {
                self.remove_record(guard, report)?;
                return Ok(Some(error));
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Removes a machine's directory, and what the user approved for the machine.
    fn remove_record(
        &self,
        guard: MachineGuard,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let name = guard.name().clone();
        guard.remove()?;
        if let Err(error) = self.forget_approvals(&name) {
            report.warn(&format!(
                "the approved paths of {name} stay approved: {error}"
            ));
        }
        Ok(())
    }

    /// Takes a machine away that could not be made to its end.
    pub(crate) async fn take_away(
        &self,
        guard: MachineGuard,
        restore: bool,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let driver = self.driver_of(&guard)?;
        let restore = restore && driver.capabilities().adopted;
        self.undo(&guard, restore, report, secrets).await?;
        self.remove_record(guard, report)
    }

    /// Takes the machine out of its cluster, if its engine still can. A cluster notices by itself
    /// when it cannot.
    async fn leave(&self, guard: &MachineGuard, driver: &dyn Driver, work: &Work<'_>) {
        let record = guard.record();
        let state = self.state_of(&record, driver).await;
        let runs = matches!(state, Ok(MachineState::Running));
        // The others of a store have to forget a server that is down, too.
        if !runs && record.own.store.is_none() {
            return;
        }
        work.report.step("leaving the cluster");
        let cluster = async {
            if !runs {
                return Ok(());
            }
            self.leave_cluster(guard, driver).await?;
            match record.own.swarm_mode {
                Some(_) => self.leave_swarm(guard, driver, work.report).await,
                None => Ok(()),
            }
        };
        let store = async {
            if record.own.store.is_none() {
                return Ok(());
            }
            let engine = match runs {
                true => {
                    let url = driver.url().await?;
                    Some(self.engine_within(guard.name(), &url, bounds::COMPANION_CALL)?)
                }
                false => None,
            };
            self.leave_store(guard, engine.as_ref(), work.report).await
        };
        let leaving = async {
            let left = cluster.await;
            store.await.and(left)
        };
        let left = tokio::time::timeout(bounds::LEAVE, leaving);
        match left.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => work
                .report
                .warn(&format!("it could not leave its cluster: {error}")),
            Err(_) => work.report.warn("it could not leave its cluster in time"),
        }
    }

    async fn undo(
        &self,
        guard: &MachineGuard,
        restore: bool,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let mut driver = self.driver_of(guard)?;
        let work = Work {
            report,
            resources: guard,
            secrets,
        };
        let record = guard.record();
        let own = &record.own;
        let is_member = record.swarm.is_swarm || own.swarm_mode.is_some() || own.store.is_some();
        if is_member && guard.journal().is_done(Phase::Provisioned) {
            self.leave(guard, driver.as_ref(), &work).await;
        }
        if restore {
            if !driver.capabilities().adopted {
                return Err(LifecycleError::NotAdopted {
                    name: guard.name().clone(),
                });
            }
            // Provisioning may have been cut off, so what counts is whether it began.
            if guard.journal().is_done(Phase::Reachable) {
                let host = self.host(driver.as_ref(), Booting::No, &work).await?;
                report.step("putting the engine's old configuration back");
                let restored = rmachine_provision::restore(host.ssh.as_ref(), report).await;
                host.ssh.close().await;
                restored?;
            }
        }
        driver.remove(&work).await?;
        Ok(())
    }
}
