use rmachine_driver::{Driver, MachineName, MachineState, Report, Secrets, Work};
use rmachine_machine::{MachineFile, MachineGuard, Phase, StoreError};
use rmachine_pki::CertificateInfo;

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
                return Ok(Some(unreadable.into()));
            }
            Err(error) => return Err(error),
        };
        match self.undo(&guard, removal.restore, report, secrets).await {
            Ok(()) => guard.remove()?,
            Err(error) if removal.force => {
                guard.remove()?;
                return Ok(Some(error));
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Takes a machine away that could not be made to its end.
    pub(crate) async fn take_away(
        &self,
        guard: MachineGuard,
        restore: bool,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let driver = self.driver(&guard.record())?;
        let restore = restore && driver.capabilities().adopted;
        self.undo(&guard, restore, report, secrets).await?;
        guard.remove()?;
        Ok(())
    }

    /// Takes the machine out of its cluster, if its engine still can. A cluster notices by itself
    /// when it cannot.
    async fn leave(&self, guard: &MachineGuard, driver: &dyn Driver, work: &Work<'_>) {
        let record = guard.record();
        let state = self.state_of(&record, driver).await;
        let runs = matches!(state, Ok(MachineState::Running));
        // The others of a store have to forget a server that is down, too.
        if !runs && record.swarm.is_swarm && driver.capabilities().adopted {
            work.report.warn(
                "its engine does not answer, so the keys of its manager and agent stay on the host \
                 in their containers' volumes",
            );
        }
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

    /// Sees to it that the key that stays with an adopted engine is a server's key only, and says
    /// that it stays. Up to now, the engine's certificate could be a manager's as well.
    async fn restrict_engine_key(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        work: &Work<'_>,
    ) {
        let is_client = || {
            let certificate = guard.read_file(MachineFile::ServerCertificate)?;
            let info = certificate.and_then(|pem| CertificateInfo::read(&pem).ok());
            Ok::<_, LifecycleError>(info.is_some_and(|info| info.client_auth))
        };
        let restricted = async {
            if !is_client()? {
                return Ok(());
            }
            let mut host = self.host(driver, Booting::No, work).await?;
            let applied = async {
                let plan = self.plan(guard, driver, &host).await?;
                self.apply_plan(guard, driver, &mut host, plan, work).await
            };
            let applied = applied.await;
            host.ssh.close().await;
            applied.map(drop)
        };
        if let Err::<(), LifecycleError>(error) = restricted.await {
            work.report.warn(&format!(
                "the engine's key on the host is still the key of a client of all engines with the \
                 same certificate authority: {error}"
            ));
        }
        work.report.warn(
            "the engine keeps its TLS configuration and its key, /etc/docker/server-key.pem; with \
             --restore both are removed",
        );
    }

    async fn undo(
        &self,
        guard: &MachineGuard,
        restore: bool,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let mut driver = self.driver(&guard.record())?;
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
        let capabilities = driver.capabilities();
        let is_set_up = capabilities.provisioned && guard.journal().is_done(Phase::Reachable);
        if capabilities.adopted && is_set_up && !restore {
            self.restrict_engine_key(guard, driver.as_ref(), &work)
                .await;
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
