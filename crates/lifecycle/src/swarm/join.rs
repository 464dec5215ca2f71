use std::sync::{Arc, PoisonError};

use rmachine_companion::part::{self, Agent, Certificates, Manager};
use rmachine_companion::{Architecture, CompanionError, Image, TAG, VERSION};
use rmachine_driver::{Driver, MachineName, Report};
use rmachine_engine::{Engine, VersionInfo};
use rmachine_machine::{MachineFile, MachineGuard, Record};
use rmachine_provision::Interface;

use super::place::{Place, place};
use super::{EMBEDDED, Master};
use crate::wanted::key_type;
use crate::{LifecycleError, Machines, Reference, bounds};

/// What docker-machine calls the image where nobody names another: the companion takes its place,
/// as today's engines can no longer pull it.
const CLASSIC_IMAGES: [&str; 3] = ["", "swarm", "swarm:latest"];

impl Machines {
    /// The machines of the store that keep the nodes of a cluster themselves, but for this one.
    pub(crate) fn embedded_masters(
        &self,
        but: &MachineName,
    ) -> Result<Vec<Master>, LifecycleError> {
        let mut masters = Vec::new();
        for name in self.store.names()? {
            // The lock first: the record of one that nobody works on is its last one.
            let at_work = self.store.is_worked_on(&name)?;
            // One that cannot be read is no reason against another one.
            let Ok(record) = self.store.load(&name) else {
                continue;
            };
            let swarm = &record.swarm;
            if name != *but && swarm.master && swarm.discovery.starts_with(EMBEDDED) {
                let is_known = swarm.discovery != EMBEDDED && record.own.journal.is_ready();
                masters.push(Master {
                    discovery: is_known.then(|| swarm.discovery.clone()),
                    at_work,
                    name,
                });
            }
        }
        Ok(masters)
    }

    /// Makes a machine what its record asks for in a cluster, and waits until the cluster's manager
    /// calls it healthy.
    pub(crate) async fn join_cluster(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        interfaces: &[Interface],
        engine: (&Engine, &VersionInfo),
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let record = guard.record();
        if !record.swarm.is_swarm {
            return Ok(());
        }
        let (engine, version) = engine;
        let place = place(&record, driver, interfaces).await?;
        // Before a master is waited for: it takes longest, and needs nobody.
        let image = self.companion(engine, version, &record, report).await?;
        let discovery = self
            .settle_discovery(guard, &record, &place, report)
            .await?;
        let reached = self.reached_discovery(&discovery, guard.name())?;
        let store = match Reference::read(&discovery)? {
            Some(_) => Some(self.store_identity(guard.name())?),
            None => None,
        };
        let mut env = record.engine.env.clone();
        env.sort();
        if record.swarm.master {
            report.step("starting the manager");
            let manager = Manager {
                host_ip: place.host.bound_ip(),
                port: place.host.port,
                advertise: place.manager.clone(),
                strategy: match record.swarm.strategy.as_str() {
                    "" => "spread".to_owned(),
                    strategy => strategy.to_owned(),
                },
                options: record.swarm.arbitrary_flags.clone(),
                discovery: (!discovery.starts_with(EMBEDDED)).then(|| reached.clone()),
                experimental: record.swarm.is_experimental,
                env: env.clone(),
                certificates: self.manager_certificates(guard)?,
                store: store.clone(),
            };
            rmachine_companion::converge(engine, &manager.container(&image)).await?;
            report.step("waiting for the manager's answer over TLS");
            self.manager_answers(guard.name(), driver, place.host.port, engine)
                .await?;
        } else {
            rmachine_companion::remove(engine, part::MANAGER).await?;
        }
        if record.swarm.agent {
            report.step("starting the agent");
            let certificates = match discovery.starts_with(EMBEDDED) {
                true => Some(self.agent_certificates(guard, &record)?),
                false => store,
            };
            let agent = Agent {
                advertise: place.engine.clone(),
                options: record.swarm.arbitrary_join_flags.clone(),
                discovery: reached,
                experimental: record.swarm.is_experimental,
                env,
                certificates,
            };
            rmachine_companion::converge(engine, &agent.container(&image)).await?;
            self.is_healthy_member(guard.name(), &discovery, &place.engine, engine, report)
                .await?;
        } else {
            rmachine_companion::remove(engine, part::AGENT).await?;
        }
        Ok(())
    }

    /// Takes a machine's part in a cluster away, so that its manager knows at once.
    pub(crate) async fn leave_cluster(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
    ) -> Result<(), LifecycleError> {
        if !guard.record().swarm.is_swarm {
            return Ok(());
        }
        let url = driver.url().await?;
        let engine = self.engine_within(guard.name(), &url, bounds::COMPANION_CALL)?;
        for name in [part::AGENT, part::MANAGER] {
            rmachine_companion::remove(&engine, name).await?;
        }
        Ok(())
    }

    /// Where the cluster's nodes are kept. A master that keeps them itself notes where it does, for
    /// those that come later; an agent of one waits until it is ready, and follows it there.
    async fn settle_discovery(
        &self,
        guard: &MachineGuard,
        record: &Record,
        place: &Place,
        report: &dyn Report,
    ) -> Result<String, LifecycleError> {
        let noted = &record.swarm.discovery;
        if !noted.starts_with(EMBEDDED) {
            return Ok(noted.clone());
        }
        let now = match (record.swarm.master, &record.own.swarm_join) {
            (true, _) => format!("{EMBEDDED}{}", place.manager),
            (false, Some(master)) => match self.await_master(master, report).await {
                Ok(master) if master.swarm.discovery.starts_with(EMBEDDED) => {
                    master.swarm.discovery
                }
                Err(error) if noted == EMBEDDED => return Err(error),
                // What was noted may still be right.
                Ok(_) | Err(_) => noted.clone(),
            },
            (false, None) => noted.clone(),
        };
        if now != *noted {
            guard.update(|record| record.swarm.discovery.clone_from(&now))?;
        }
        Ok(now)
    }

    /// Sees to it that the engine has the image, and names it.
    async fn companion(
        &self,
        engine: &Engine,
        version: &VersionInfo,
        record: &Record,
        report: &dyn Report,
    ) -> Result<String, LifecycleError> {
        let image = record.swarm.image.as_str();
        if !CLASSIC_IMAGES.contains(&image) {
            if !rmachine_companion::has_any(engine, image).await? {
                report.step(&format!("pulling {image}"));
                rmachine_companion::pull(engine, image).await?;
            }
            return Ok(image.to_owned());
        }
        self.own_companion(engine, version, report).await
    }

    /// Sees to it that the engine has the companion's own image, and names it.
    pub(crate) async fn own_companion(
        &self,
        engine: &Engine,
        version: &VersionInfo,
        report: &dyn Report,
    ) -> Result<String, LifecycleError> {
        let architecture = Architecture::of_machine(&version.arch)
            .ok_or_else(|| CompanionError::Architecture(version.arch.clone()))?;
        let image = self.image(architecture)?;
        if !rmachine_companion::has(engine, &image, TAG).await? {
            let megabytes = image.size() as f64 / 1e6;
            report.step(&format!("sending {TAG}, {megabytes:.1} MB"));
            rmachine_companion::send(engine, &image, TAG).await?;
        }
        Ok(TAG.to_owned())
    }

    /// The companion's image, which is made once and the same for all machines of a kind.
    fn image(&self, architecture: Architecture) -> Result<Arc<Image>, CompanionError> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, image)) = images.iter().find(|(known, _)| *known == architecture) {
            return Ok(image.clone());
        }
        let program = self.settings.companion.program(architecture)?;
        let image = Image::of(&program, architecture, VERSION);
        let image = Arc::new(image.map_err(|source| CompanionError::Archive {
            what: "the companion's image",
            source,
        })?);
        images.push((architecture, image.clone()));
        Ok(image)
    }

    fn manager_certificates(&self, guard: &MachineGuard) -> Result<Certificates, LifecycleError> {
        let read = |file| self.certificate_file(guard.name(), file);
        Ok(Certificates {
            ca: read(MachineFile::CaCertificate)?,
            certificate: read(MachineFile::ServerCertificate)?,
            key: read(MachineFile::ServerKey)?,
        })
    }

    fn agent_certificates(
        &self,
        guard: &MachineGuard,
        record: &Record,
    ) -> Result<Certificates, LifecycleError> {
        let key = key_type(record)?;
        let shared = self.shared_certificates(guard, key)?;
        let organization = format!("{}.{}", self.settings.organization, guard.name());
        shared.agent(guard, &organization, key)
    }
}
