use std::time::Instant;

use http::Method;
use rmachine_driver::{Driver, MachineName, Report};
use rmachine_engine::{Engine, EngineError};
use rmachine_machine::{MachineGuard, Record, SwarmMode};
use serde_json::{Value, json};

use super::{Local, Step, SwarmModeRefusal, step};
use crate::{LifecycleError, Machines, bounds};

/// Where nodes listen for managers. Docker's own port, on all addresses.
const LISTEN: [&str; 2] = ["0.0.0.0:2377", "[::]:2377"];

/// A machine whose engine is a manager, and that engine.
pub(crate) struct ManagerEngine {
    pub(crate) name: MachineName,
    pub(crate) engine: Engine,
}

impl Machines {
    /// The manager that a new machine is to join: the named one, else the only one. One that is
    /// being made is waited for later.
    pub(crate) fn swarm_to_join(
        &self,
        own: &MachineName,
        named: Option<&MachineName>,
    ) -> Result<MachineName, LifecycleError> {
        let managers = self.swarm_managers(own, |_| true)?;
        let refusal = match (named, managers.as_slice()) {
            (Some(name), managers) if managers.contains(name) => return self.to_be_ready(name),
            (Some(name), _) => SwarmModeRefusal::NotAManager { name: name.clone() },
            (None, [only]) => return self.to_be_ready(only),
            (None, []) => SwarmModeRefusal::NoManager,
            (None, _) => SwarmModeRefusal::SeveralManagers { managers },
        };
        Err(refusal.into())
    }

    /// This manager, if it is ready or somebody works on it.
    fn to_be_ready(&self, manager: &MachineName) -> Result<MachineName, LifecycleError> {
        // The lock first: the record of one that nobody works on is its last one.
        let at_work = self.store.is_worked_on(manager)?;
        match at_work || self.store.load(manager)?.own.journal.is_ready() {
            true => Ok(manager.clone()),
            false => Err(SwarmModeRefusal::ManagerNotReady {
                name: manager.clone(),
            }
            .into()),
        }
    }

    /// The machines that are managers in swarm mode, but for this one, of which this holds.
    pub(crate) fn swarm_managers(
        &self,
        but: &MachineName,
        holds: impl Fn(&Record) -> bool,
    ) -> Result<Vec<MachineName>, LifecycleError> {
        let manages = |record: &Record| {
            let mode = record.own.swarm_mode.as_ref();
            mode.is_some_and(|mode| mode.manager) && holds(record)
        };
        let mut names = self.store.names()?;
        // One that cannot be read is no reason against another one.
        names.retain(|name| name != but && self.store.load(name).is_ok_and(|one| manages(&one)));
        Ok(names)
    }

    /// Makes a machine's engine the node that its record asks for, and waits until a manager calls
    /// it ready.
    pub(crate) async fn join_swarm(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        mode: &SwarmMode,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let name = guard.name();
        let here = ManagerEngine {
            name: name.clone(),
            engine: self.engine_within(name, &driver.url().await?, bounds::SWARM_CALL)?,
        };
        let local = Local::read(&here.engine.info().await?);
        let manager = match &mode.join {
            Some(manager) => {
                match self.await_master(manager, report).await {
                    // What is in the swarm already may do without it.
                    Err(error) if !local.is_in_swarm() => return Err(error),
                    Ok(_) | Err(_) => {}
                }
                Some(self.swarm_manager(manager).await?)
            }
            None => None,
        };
        let knows = match &manager {
            Some(manager) => Some(node(&manager.engine, &local.node).await?.is_some()),
            None => None,
        };
        let address = match mode.address.as_str() {
            "" => driver.address().await?.to_string(),
            asked => asked.to_owned(),
        };
        let to_join = manager.as_ref().unwrap_or(&here);
        match step(name, &local, mode.manager, knows)? {
            Step::Nothing => {}
            Step::Init => {
                report.step("beginning a swarm");
                let body = begin(&address);
                here.engine
                    .call(Method::POST, "/swarm/init", Some(&body))
                    .await?;
            }
            Step::Join => {
                report.step(&format!("joining the swarm of {}", to_join.name));
                join(&here.engine, &to_join.engine, &address, mode.manager).await?;
            }
            Step::ChangeRole => {
                report.step("changing its role in the swarm");
                let role = if mode.manager { "manager" } else { "worker" };
                change(&to_join.engine, &local.node, "Role", role).await?;
            }
        }
        report.step("waiting until the swarm calls the node ready");
        is_ready(name, &here.engine, to_join, mode.manager).await
    }

    /// The engine of a manager in swarm mode.
    pub(crate) async fn swarm_manager(
        &self,
        name: &MachineName,
    ) -> Result<ManagerEngine, LifecycleError> {
        let record = self.store.load(name)?;
        let url = self.driver(&record)?.url().await?;
        Ok(ManagerEngine {
            name: name.clone(),
            engine: self.engine_within(name, &url, bounds::SWARM_CALL)?,
        })
    }
}

fn begin(address: &str) -> Value {
    let listen = match address.contains(':') {
        true => LISTEN[1],
        false => LISTEN[0],
    };
    json!({"ListenAddr": listen, "AdvertiseAddr": address, "DataPathAddr": address})
}

/// The token goes from one engine to the other.
async fn join(
    here: &Engine,
    manager: &Engine,
    address: &str,
    manages: bool,
) -> Result<(), LifecycleError> {
    let swarm = manager.call(Method::GET, "/swarm", None).await?;
    let role = if manages { "Manager" } else { "Worker" };
    let local = Local::read(&manager.info().await?);
    let mut body = begin(address);
    body["RemoteAddrs"] = json!(local.managers);
    body["JoinToken"] = swarm["JoinTokens"][role].clone();
    match here.call(Method::POST, "/swarm/join", Some(&body)).await {
        Ok(_) => Ok(()),
        // The engine goes on with it; whether it comes about is waited for next.
        Err(EngineError::Refused { message, .. }) if message.starts_with("Timeout was reached") => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a manager knows of a node; `None` when it does not know it.
pub(crate) async fn node(manager: &Engine, id: &str) -> Result<Option<Value>, LifecycleError> {
    if id.is_empty() {
        return Ok(None);
    }
    let path = format!("/nodes/{id}");
    match manager.call(Method::GET, &path, None).await {
        Ok(node) => Ok(Some(node)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Changes what is asked of a node. A change that came in between is no reason to fail.
pub(crate) async fn change(
    manager: &Engine,
    id: &str,
    field: &str,
    value: &str,
) -> Result<(), LifecycleError> {
    let mut tries = 0..5;
    loop {
        let Some(node) = node(manager, id).await? else {
            return Ok(());
        };
        let mut spec = node["Spec"].clone();
        spec[field] = value.into();
        let version = node["Version"]["Index"].as_u64().unwrap_or_default();
        let path = format!("/nodes/{id}/update?version={version}");
        match manager.call(Method::POST, &path, Some(&spec)).await {
            Ok(_) => return Ok(()),
            Err(EngineError::Refused { message, .. })
                if message.contains("out of sequence") && tries.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until a manager calls a node ready, and a manager reachable.
async fn is_ready(
    name: &MachineName,
    here: &Engine,
    manager: &ManagerEngine,
    manages: bool,
) -> Result<(), LifecycleError> {
    let started = Instant::now();
    loop {
        let local = Local::read(&here.info().await?);
        let known = node(&manager.engine, &local.node).await;
        let seen = match &known {
            Ok(Some(node)) => {
                let state = node["Status"]["State"].as_str().unwrap_or("unknown");
                let reachability = &node["ManagerStatus"]["Reachability"];
                let is_settled =
                    local.manages == manages && (!manages || *reachability == "reachable");
                if state == "ready" && is_settled {
                    return Ok(());
                }
                format!("the node is {state}")
            }
            Ok(None) if local.error.is_empty() => format!("its engine is {}", local.state),
            Ok(None) => format!("its engine is {}: {}", local.state, local.error),
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= bounds::MEMBERSHIP {
            return Err(LifecycleError::NotAMember {
                name: name.clone(),
                master: manager.name.clone(),
                seen,
                log: Vec::new(),
            });
        }
        tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
    }
}
