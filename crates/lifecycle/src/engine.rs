use std::time::{Duration, Instant};

use rmachine_driver::{Driver, DriverError, MachineName, MachineState};
use rmachine_engine::{Engine, EngineEndpoint, EngineError, VersionInfo};
use rmachine_machine::{MachineFile, Record};
use rmachine_pki::{ClientIdentity, client_config};

use crate::watch::while_up;
use crate::{LifecycleError, Machines, bounds};

impl Machines {
    /// Waits until the engine answers at the very URL, and with the very certificates, that `env`
    /// prints.
    pub(crate) async fn engine_answers(
        &self,
        name: &MachineName,
        driver: &dyn Driver,
    ) -> Result<VersionInfo, LifecycleError> {
        let url = driver.url().await?;
        let engine = self.engine_within(name, &url, bounds::ENGINE_FIRST_CALL)?;
        let answer = async {
            answer(&engine)
                .await
                .map_err(|error| LifecycleError::EngineSilent {
                    name: name.clone(),
                    url,
                    source: Box::new(error),
                })
        };
        while_up(driver, answer).await
    }

    /// The state of a machine that was looked at. An adopted host has no power state but that it
    /// answers; where its engine does, sshd is spared a connection, which is dearer than the
    /// question.
    ///
    /// # Errors
    /// The driver's.
    pub async fn state_of(
        &self,
        record: &Record,
        driver: &dyn Driver,
    ) -> Result<MachineState, DriverError> {
        let capabilities = driver.capabilities();
        let has_engine = capabilities.provisioned && record.own.journal.is_ready();
        if capabilities.adopted && has_engine {
            let asked = tokio::time::timeout(bounds::HEAD_START, self.answers(record, driver));
            if matches!(asked.await, Ok(Ok(_))) {
                return Ok(MachineState::Running);
            }
        }
        driver.state().await
    }

    async fn answers(
        &self,
        record: &Record,
        driver: &dyn Driver,
    ) -> Result<VersionInfo, LifecycleError> {
        let engine = self.engine(record.name(), &driver.url().await?)?;
        Ok(engine.version().await?)
    }

    /// A certificate or key in the machine's directory.
    pub(crate) fn certificate_file(
        &self,
        name: &MachineName,
        file: MachineFile,
    ) -> Result<String, LifecycleError> {
        self.store
            .read_file(name, file)?
            .ok_or_else(|| LifecycleError::HalfPair {
                present: self.store.layout().record(name).display().to_string(),
                missing: self
                    .store
                    .layout()
                    .machine_file(name, file)
                    .display()
                    .to_string(),
            })
    }

    /// The engine at a URL, reached with the certificates in the machine's directory.
    pub(crate) fn engine(&self, name: &MachineName, url: &str) -> Result<Engine, LifecycleError> {
        self.engine_within(name, url, bounds::ENGINE_CALL)
    }

    /// As [`Machines::engine`], with a limit for each call.
    pub(crate) fn engine_within(
        &self,
        name: &MachineName,
        url: &str,
        limit: Duration,
    ) -> Result<Engine, LifecycleError> {
        let identity = ClientIdentity {
            ca: self.certificate_file(name, MachineFile::CaCertificate)?,
            certificate: self.certificate_file(name, MachineFile::ClientCertificate)?,
            key: self.certificate_file(name, MachineFile::ClientKey)?.into(),
        };
        let config = client_config(&identity).map_err(|source| LifecycleError::Certificate {
            what: format!("the client's certificates of {name}"),
            source,
        })?;
        let endpoint =
            EngineEndpoint::tls(url, config).map_err(|source| LifecycleError::EngineSilent {
                name: name.clone(),
                url: url.to_owned(),
                source: Box::new(source),
            })?;
        Ok(Engine::new(endpoint, limit))
    }
}

/// What the engine answers, once it does.
async fn answer(engine: &Engine) -> Result<VersionInfo, EngineError> {
    let started = Instant::now();
    loop {
        match engine.version().await {
            Err(error) if is_starting(&error) && started.elapsed() < bounds::ENGINE_ANSWER => {
                tokio::time::sleep(bounds::engine_pause(started.elapsed())).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether it is worth asking again: the service is up, its port may be a moment behind.
fn is_starting(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Unreachable { .. } | EngineError::Deadline { .. }
    )
}
