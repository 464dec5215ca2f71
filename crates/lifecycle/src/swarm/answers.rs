use std::time::{Duration, Instant};

use rmachine_companion::part;
use rmachine_driver::{Driver, MachineName, Report};
use rmachine_engine::{Engine, EngineError};
use rmachine_machine::{Phase, Record};

use super::place::swarm_host;
use super::{Standing, standing};
use crate::{LifecycleError, Machines, bounds};

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

impl Machines {
    /// Waits until the manager answers as `env --swarm` says it does.
    pub(super) async fn manager_answers(
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
                    tokio::time::sleep(bounds::engine_pause(started.elapsed())).await;
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
    pub(super) async fn is_healthy_member(
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
