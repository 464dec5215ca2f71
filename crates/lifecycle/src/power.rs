use rmachine_driver::{Driver, MachineName, MachineState, Report, Secrets, Work};
use rmachine_machine::MachineGuard;

use crate::host::Booting;
use crate::{LifecycleError, Machines, note};

/// Which way a machine's power goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    On,
    Off,
    Around,
    Cut,
}

impl Machines {
    /// Powers a machine on and waits until its engine answers. A machine that got another address
    /// gets a certificate that covers it.
    ///
    /// # Errors
    /// The driver's; those of [`Machines::provision`] when the address moved.
    pub async fn start(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        self.turn(Turn::On, name, report, secrets).await
    }

    /// Shuts a machine down in order.
    ///
    /// # Errors
    /// The driver's.
    pub async fn stop(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        self.turn(Turn::Off, name, report, secrets).await
    }

    /// Reboots a machine and waits until its engine answers.
    ///
    /// # Errors
    /// As [`Machines::start`].
    pub async fn restart(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        self.turn(Turn::Around, name, report, secrets).await
    }

    /// Cuts a machine's power.
    ///
    /// # Errors
    /// The driver's.
    pub async fn kill(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        self.turn(Turn::Cut, name, report, secrets).await
    }

    /// The state of a machine.
    ///
    /// # Errors
    /// When its driver cannot tell.
    pub async fn state(&self, name: &MachineName) -> Result<MachineState, LifecycleError> {
        let record = self.store.load(name)?;
        Ok(self.driver(&record)?.state().await?)
    }

    async fn turn(
        &self,
        turn: Turn,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        // A half-made machine can be stopped, but it has no engine to wait for.
        let guard = match turn {
            Turn::On | Turn::Around => self.edit_made(name)?,
            Turn::Off | Turn::Cut => self.edit(name)?,
        };
        let mut driver = self.driver(&guard.record())?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        let turned = match turn {
            Turn::On => driver.start(&work).await,
            Turn::Off => driver.stop(&work).await,
            Turn::Around => driver.restart(&work).await,
            Turn::Cut => driver.kill(&work).await,
        };
        note::after_work(&guard, driver.as_ref(), turned)?;
        match turn {
            Turn::On | Turn::Around => self.settle(&guard, driver.as_ref(), &work).await,
            Turn::Off | Turn::Cut => Ok(()),
        }
    }

    /// Waits for the engine of a machine that was powered on.
    async fn settle(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        work: &Work<'_>,
    ) -> Result<(), LifecycleError> {
        let capabilities = driver.capabilities();
        if !capabilities.provisioned {
            return Ok(());
        }
        if capabilities.address_moves {
            // The address is part of what the record asks for, so this issues a new certificate
            // exactly when it moved.
            let mut host = self.host(driver, Booting::Yes, work).await?;
            let provisioned = self.provision_host(guard, driver, &mut host, work).await;
            host.ssh.close().await;
            if provisioned?.plan.changes_settings() {
                work.report
                    .warn("the machine has other addresses now; its certificate was made anew");
            }
            return Ok(());
        }
        match self.engine_is_awaited(guard, driver, work).await {
            Err(LifecycleError::EngineSilent { .. }) => {}
            answered => return answered,
        }
        // Its time begins when the system has booted.
        let host = self.host(driver, Booting::Yes, work).await?;
        host.ssh.close().await;
        self.engine_is_awaited(guard, driver, work).await
    }

    async fn engine_is_awaited(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        work: &Work<'_>,
    ) -> Result<(), LifecycleError> {
        work.report.step("waiting for the engine's answer over TLS");
        self.engine_answers(guard.name(), driver).await.map(drop)
    }
}
