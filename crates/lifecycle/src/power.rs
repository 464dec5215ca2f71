use rmachine_driver::{Driver, HostAddress, MachineName, MachineState, Report, Secrets, Work};
use rmachine_machine::{MachineFile, MachineGuard};
use rmachine_pki::CertificateInfo;

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
        let mut driver = self.driver_of(&guard)?;
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
        // One that does not move by itself can be lost all the same, and a start that was cut off
        // after that has made no certificate for the new one.
        if capabilities.address_moves || !self.is_covered(guard, driver).await? {
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

    /// Whether the engine's certificate is good for the address by which the machine is reached.
    async fn is_covered(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
    ) -> Result<bool, LifecycleError> {
        let address = driver.address().await?;
        let certificate = guard.read_file(MachineFile::ServerCertificate)?;
        Ok(certificate.is_none_or(|certificate| is_good_for(&certificate, &address)))
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

/// Names do not move, and a certificate of the owner's may cover them by a wildcard.
fn is_good_for(certificate: &str, address: &HostAddress) -> bool {
    let covers = |info: CertificateInfo| match address {
        HostAddress::Ip(ip) => info.covers(&[(*ip).into()]),
        HostAddress::Name(_) => true,
    };
    CertificateInfo::read(certificate).is_ok_and(covers)
}

#[cfg(test)]
mod tests {
    use rmachine_pki::{Authority, KeyType, San, ServerRequest};

    use super::*;

    #[test]
    fn a_certificate_is_good_for_the_addresses_in_it() {
        let (authority, _) = Authority::create("me", KeyType::Ecdsa).unwrap();
        let request = ServerRequest {
            name: "n1".to_owned(),
            organization: "me".to_owned(),
            sans: vec![San::from("192.168.58.3".to_owned())],
            client_auth: false,
            key: KeyType::Ecdsa,
        };
        let made = authority.issue_server(&request).unwrap();
        for (address, good) in [
            ("192.168.58.3", true),
            ("192.168.58.4", false),
            ("n1.example", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(is_good_for(&made.certificate, &address), good, "{address}");
        }
        let address = "192.168.58.3".parse().unwrap();
        assert!(!is_good_for("torn", &address));
    }
}
