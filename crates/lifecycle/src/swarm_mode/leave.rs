use std::time::Instant;

use http::Method;
use rmachine_driver::{Driver, MachineName, Report};
use rmachine_engine::{Engine, EngineError};
use rmachine_machine::MachineGuard;
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::Local;
use super::join::{ManagerEngine, change, node};
use crate::{LifecycleError, Machines, bounds};

impl Machines {
    /// Takes a machine's engine out of its swarm: what runs there moves first, and a manager gives
    /// its office back.
    pub(crate) async fn leave_swarm(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let name = guard.name();
        let here = self.engine_within(name, &driver.url().await?, bounds::SWARM_CALL)?;
        let local = Local::read(&here.info().await?);
        if !local.is_in_swarm() {
            return Ok(());
        }
        let other = self.other_manager(name, &local.node).await?;
        if let Some(other) = &other {
            report.step("moving what the swarm runs there");
            change(&other.engine, &local.node, "Availability", "drain").await?;
            is_drained(&other.engine, &local.node).await?;
            if local.manages {
                report.step("giving its office as a manager back");
                change(&other.engine, &local.node, "Role", "worker").await?;
                is_worker(&here).await?;
            }
        }
        report.step("leaving the swarm");
        // A swarm ends with its last manager.
        let force = u8::from(other.is_none());
        let path = format!("/swarm/leave?force={force}");
        here.call(Method::POST, &path, None).await?;
        if let Some(other) = &other {
            let path = format!("/nodes/{}?force=1", local.node);
            match other.engine.call(Method::DELETE, &path, None).await {
                Ok(_) | Err(EngineError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Another manager of the swarm that this node is in.
    async fn other_manager(
        &self,
        own: &MachineName,
        id: &str,
    ) -> Result<Option<ManagerEngine>, LifecycleError> {
        for name in self.swarm_managers(own, |one| one.own.journal.is_ready())? {
            if let Ok(manager) = self.swarm_manager(&name).await
                && let Ok(Some(_)) = node(&manager.engine, id).await
            {
                return Ok(Some(manager));
            }
        }
        Ok(None)
    }
}

/// Waits until nothing of the swarm's runs on a node, as long as that may take.
async fn is_drained(manager: &Engine, id: &str) -> Result<(), LifecycleError> {
    let filters = json!({"node": [id], "desired-state": ["running"]});
    let path = Serializer::new("/tasks?".to_owned())
        .append_pair("filters", &filters.to_string())
        .finish();
    let started = Instant::now();
    while started.elapsed() < bounds::DRAIN {
        let tasks = manager.call(Method::GET, &path, None).await?;
        if tasks.as_array().is_none_or(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
    }
    Ok(())
}

/// Waits until an engine knows that it is no manager any more: before that it may not leave.
async fn is_worker(here: &Engine) -> Result<(), LifecycleError> {
    let started = Instant::now();
    while started.elapsed() < bounds::DRAIN {
        if !Local::read(&here.info().await?).manages {
            break;
        }
        tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
    }
    Ok(())
}
