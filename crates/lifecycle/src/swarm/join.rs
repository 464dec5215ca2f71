use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rmachine_companion::part::{self, Agent, Certificates, Manager};
use rmachine_companion::{Architecture, CompanionError, Image, TAG, VERSION};
use rmachine_driver::{Driver, HostAddress, MachineName, Report};
use rmachine_engine::{Engine, EngineError, VersionInfo};
use rmachine_machine::{MachineFile, MachineGuard, Phase, Record};
use rmachine_provision::Interface;

use super::{EMBEDDED, Master, Standing, SwarmHost, standing};
use crate::wanted::key_type;
use crate::{LifecycleError, Machines, Reference, bounds};

/// What docker-machine calls the image where nobody names another: the companion takes its place,
/// as today's engines can no longer pull it.
const CLASSIC_IMAGES: [&str; 3] = ["", "swarm", "swarm:latest"];

/// How many lines of a container's log a person is shown.
const LOG_LINES: usize = 10;

/// What was found of a cluster's managers.
enum Found {
    /// This machine's answers.
    Answers(MachineName, Box<Engine>),
    /// None answers, and somebody works on this machine, which has one.
    AtWork(MachineName),
    /// None.
    None,
}

/// Where a machine's part in a cluster is reached.
struct Place {
    /// The engine.
    engine: String,
    /// The manager.
    manager: String,
    /// Where the manager listens.
    host: SwarmHost,
}

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
        let shared = self.shared_certificates(key)?;
        let organization = format!("{}.{}", self.settings.organization, guard.name());
        shared.agent(guard, &organization, key)
    }

    /// Waits until the manager answers as `env --swarm` says it does.
    async fn manager_answers(
        &self,
        name: &MachineName,
        driver: &dyn Driver,
        port: u16,
        engine: &Engine,
    ) -> Result<(), LifecycleError> {
        let url = format!("tcp://{}:{port}", driver.address().await?.in_url());
        let manager = self.engine(name, &url)?;
        let started = Instant::now();
        loop {
            match manager.ping().await {
                Ok(_) => return Ok(()),
                Err(_) if started.elapsed() < bounds::MANAGER_ANSWER => {
                    tokio::time::sleep(bounds::ENGINE_PAUSE).await;
                }
                Err(source) => {
                    return Err(LifecycleError::ManagerSilent {
                        name: name.clone(),
                        url,
                        log: last_words(engine, part::MANAGER).await,
                        source: Box::new(source),
                    });
                }
            }
        }
    }

    /// Waits until a manager of the cluster calls the node healthy. Where no manager is among the
    /// machines of the store, nobody can be asked.
    async fn is_healthy_member(
        &self,
        name: &MachineName,
        discovery: &str,
        advertise: &str,
        engine: &Engine,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let Some((master, manager)) = self.some_manager(name, discovery, report).await? else {
            report.warn("no manager of the cluster is among the machines here, so none was asked");
            return Ok(());
        };
        report.step(&format!("waiting until {master} calls the node healthy"));
        let started = Instant::now();
        loop {
            let seen = manager.info().await.map(|info| standing(&info, advertise));
            if matches!(seen, Ok(Standing::Healthy)) {
                return Ok(());
            }
            if started.elapsed() >= bounds::MEMBERSHIP {
                return Err(LifecycleError::NotAMember {
                    name: name.clone(),
                    master,
                    seen: said(seen),
                    log: last_words(engine, part::AGENT).await,
                });
            }
            tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
        }
    }

    /// A manager with this discovery, which is waited for while it is being made; `None` where
    /// there is none.
    async fn some_manager(
        &self,
        own: &MachineName,
        discovery: &str,
        report: &dyn Report,
    ) -> Result<Option<(MachineName, Engine)>, LifecycleError> {
        let started = Instant::now();
        let mut told = false;
        loop {
            let in_the_making = match self.manager_of(own, discovery).await? {
                Found::Answers(name, manager) => return Ok(Some((name, *manager))),
                Found::AtWork(name) => name,
                Found::None => return Ok(None),
            };
            if started.elapsed() >= bounds::MASTER {
                return Err(LifecycleError::MasterAwaited {
                    master: in_the_making,
                    waited: bounds::MASTER,
                    next: None,
                });
            }
            if !told {
                report.step(&format!("waiting for the manager of {in_the_making}"));
                told = true;
            }
            tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
        }
    }

    /// Looks for a manager with this discovery: that of the machine itself, else the first that
    /// answers.
    async fn manager_of(
        &self,
        own: &MachineName,
        discovery: &str,
    ) -> Result<Found, LifecycleError> {
        let mut names = self.store.names()?;
        names.sort_by_key(|name| name != own);
        let mut found = Found::None;
        for name in names {
            let Ok(record) = self.store.load(&name) else {
                continue;
            };
            if !(record.swarm.master && record.swarm.discovery == discovery) {
                continue;
            }
            // One that is being converged at this moment answers all the same.
            if let Some(manager) = self.answering_manager(own, &record).await? {
                return Ok(Found::Answers(name, Box::new(manager)));
            }
            if name != *own && self.store.is_worked_on(&name)? {
                found = Found::AtWork(name);
            }
        }
        Ok(found)
    }

    /// The manager of a machine, if it answers.
    async fn answering_manager(
        &self,
        own: &MachineName,
        record: &Record,
    ) -> Result<Option<Engine>, LifecycleError> {
        let is_made = record.name() == own || record.own.journal.is_done(Phase::Provisioned);
        let (true, Ok(host)) = (is_made, swarm_host(record)) else {
            return Ok(None);
        };
        let Ok(address) = self.driver(record)?.address().await else {
            return Ok(None);
        };
        let url = format!("tcp://{}:{}", address.in_url(), host.port);
        // All machines show the same client's certificate.
        let manager = self.engine(own, &url)?;
        Ok(manager.ping().await.is_ok().then_some(manager))
    }
}

/// Where a machine's engine and manager are told to be.
async fn place(
    record: &Record,
    driver: &dyn Driver,
    interfaces: &[Interface],
) -> Result<Place, LifecycleError> {
    let address = reached_at(record, driver, interfaces).await?;
    let host = swarm_host(record)?;
    Ok(Place {
        engine: format!("{}:{}", address.in_url(), driver.engine_port()),
        manager: format!("{}:{}", address.in_url(), host.port),
        host,
    })
}

/// The address by which other machines reach this one.
pub(crate) async fn reached_at(
    record: &Record,
    driver: &dyn Driver,
    interfaces: &[Interface],
) -> Result<HostAddress, LifecycleError> {
    match record.swarm.address.as_str() {
        "" => Ok(driver.address().await?),
        asked => advertised(asked, interfaces).ok_or_else(|| LifecycleError::SwarmAddress {
            asked: asked.to_owned(),
            interfaces: interfaces.iter().map(|one| one.name.clone()).collect(),
        }),
    }
}

/// `--swarm-addr`: an interface of the host, or an address or name by which others reach it.
fn advertised(asked: &str, interfaces: &[Interface]) -> Option<HostAddress> {
    match interfaces.iter().find(|interface| interface.name == asked) {
        Some(interface) => {
            let mut v4 = interface.addresses.iter().filter(|ip| ip.is_ipv4());
            let is_global = |ip: &&IpAddr| match ip {
                IpAddr::V4(_) => false,
                IpAddr::V6(ip) => !ip.is_unicast_link_local(),
            };
            let v6 = interface.addresses.iter().find(is_global);
            v4.next().or(v6).map(|ip| HostAddress::Ip(*ip))
        }
        None => asked.parse().ok(),
    }
}

fn swarm_host(record: &Record) -> Result<SwarmHost, LifecycleError> {
    match record.swarm.host.as_str() {
        "" => Ok(SwarmHost::default()),
        text => Ok(text.parse()?),
    }
}

/// What kept a node from being called healthy, in one sentence.
fn said(seen: Result<Standing, EngineError>) -> String {
    match seen {
        Ok(Standing::Healthy) => "Healthy".to_owned(),
        Ok(Standing::Unknown) => "the node has not registered".to_owned(),
        Ok(Standing::Other {
            status,
            error: None,
        }) => format!("the node is {status}"),
        Ok(Standing::Other {
            status,
            error: Some(error),
        }) => format!("the node is {status}: {error}"),
        Err(error) => error.to_string(),
    }
}

/// The last lines of a container's log. They explain another error, so one more is not told.
pub(crate) async fn last_words(engine: &Engine, container: &str) -> Vec<String> {
    let words = rmachine_companion::last_words(engine, container, LOG_LINES);
    let limited = tokio::time::timeout(Duration::from_secs(5), words).await;
    limited.ok().and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_stands_for_its_address() {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        let interfaces = [
            interface("eth0", &["fe80::1", "10.0.2.15"]),
            interface("eth1", &["fe80::1", "fd00::10"]),
            interface("eth2", &[]),
        ];
        for (asked, expected) in [
            ("eth0", Some("10.0.2.15")),
            ("eth1", Some("fd00::10")),
            ("eth2", None),
            ("192.0.2.7", Some("192.0.2.7")),
            ("node.example.org", Some("node.example.org")),
            ("not a name", None),
        ] {
            let found = advertised(asked, &interfaces).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{asked}");
        }
    }
}
