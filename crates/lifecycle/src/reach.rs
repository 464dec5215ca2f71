//! Whether containers on one machine reach those on another: a container serves on a published port
//! of the one, and one on the other asks it. Both are of the companion, which can do either.

use std::time::Instant;

use http::Method;
use rmachine_companion::TAG;
use rmachine_driver::{HostAddress, MachineName, Report};
use rmachine_engine::{Engine, EngineError};
use rmachine_machine::Record;
use serde_json::{Value, json};

use crate::{LifecycleError, Machines, bounds};

/// The container that answers, and the one that asks. The names are taken by nothing else, so what
/// an earlier try left behind is found again.
const ANSWERING: &str = "rmachine-reach-answering";
const ASKING: &str = "rmachine-reach-asking";

/// Where it answers, in its container.
const PORT: &str = "8500/tcp";

/// Marks the containers.
const LABEL: &str = "io.rmachine.reach";

/// How many lines of a container's log a person is shown.
const LOG_LINES: usize = 3;

impl Machines {
    /// Lets a container on one machine ask one on another, until it is answered.
    ///
    /// The containers stay: whoever called this calls [`Machines::reach_no_more`] afterwards,
    /// whatever came of it, so that they go even when this was dropped half-way.
    ///
    /// # Errors
    /// [`LifecycleError::Unreached`] when it is not answered in time; when an engine refuses a
    /// container.
    pub async fn containers_reach(
        &self,
        from: &MachineName,
        to: &MachineName,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        self.reach_no_more(from, to).await?;
        let (there, record) = self.ready_for_containers(to, report).await?;
        report.step(&format!("a container on {to} is to be reached"));
        let answering = ["discovery", "-H", "tcp://:8500"];
        start(&there, ANSWERING, &answering, true).await?;
        let port = published(&there).await?;
        let address = self.address_of(&record).await?;
        let url = format!("http://{}:{port}", address.in_url());

        let (here, _) = self.ready_for_containers(from, report).await?;
        report.step(&format!("waiting for a container on {from} to reach it"));
        let asking = ["create", "--discovery-url", &url];
        let started = Instant::now();
        loop {
            start(&here, ASKING, &asking, false).await?;
            if ended_well(&here).await? {
                return Ok(());
            }
            if started.elapsed() >= bounds::REACH {
                let log = rmachine_companion::last_words(&here, ASKING, LOG_LINES).await;
                return Err(LifecycleError::Unreached {
                    from: from.clone(),
                    to: to.clone(),
                    url,
                    log: log.unwrap_or_default(),
                });
            }
            tokio::time::sleep(bounds::MEMBERSHIP_PAUSE).await;
            remove(&here, ASKING).await?;
        }
    }

    /// Removes what [`Machines::containers_reach`] has left on these machines.
    ///
    /// # Errors
    /// When an engine does not do it; the other one was asked, too.
    pub async fn reach_no_more(
        &self,
        from: &MachineName,
        to: &MachineName,
    ) -> Result<(), LifecycleError> {
        let asking = self.without_container(from, ASKING).await;
        let answering = self.without_container(to, ANSWERING).await;
        asking.and(answering)
    }

    async fn without_container(
        &self,
        name: &MachineName,
        container: &str,
    ) -> Result<(), LifecycleError> {
        let driver = self.driver(&self.store.load(name)?)?;
        let engine = self.engine(name, &driver.url().await?)?;
        Ok(remove(&engine, container).await?)
    }

    /// The engine of a machine, which has the companion's image.
    async fn ready_for_containers(
        &self,
        name: &MachineName,
        report: &dyn Report,
    ) -> Result<(Engine, Record), LifecycleError> {
        let record = self.store.load(name)?;
        let url = self.driver(&record)?.url().await?;
        let engine = self.engine_within(name, &url, bounds::COMPANION_CALL)?;
        let version = engine.version().await?;
        self.own_companion(&engine, &version, report).await?;
        Ok((engine, record))
    }

    /// Where other machines of its cluster reach a machine.
    async fn address_of(&self, record: &Record) -> Result<HostAddress, LifecycleError> {
        let mode = record.own.swarm_mode.as_ref();
        let told = mode.map_or(&record.swarm.address, |mode| &mode.address);
        // An interface's name is none; a machine with one is reached as we reach it.
        match told.parse() {
            Ok(HostAddress::Ip(ip)) => Ok(HostAddress::Ip(ip)),
            _ => Ok(self.driver(record)?.address().await?),
        }
    }
}

async fn start(
    engine: &Engine,
    name: &str,
    command: &[&str],
    is_published: bool,
) -> Result<(), EngineError> {
    let path = format!("/containers/create?name={name}");
    let body = body(command, is_published);
    engine.call(Method::POST, &path, Some(&body)).await?;
    let path = format!("/containers/{name}/start");
    engine.call(Method::POST, &path, None).await?;
    Ok(())
}

fn body(command: &[&str], is_published: bool) -> Value {
    let mut body = json!({
        "Image": TAG,
        "Cmd": command,
        "Labels": {LABEL: ""},
        "HostConfig": {
            "ReadonlyRootfs": true,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
        },
    });
    if is_published {
        body["ExposedPorts"] = json!({PORT: {}});
        // At any port that is free.
        body["HostConfig"]["PortBindings"] = json!({PORT: [{"HostIp": "", "HostPort": ""}]});
    }
    body
}

/// The port of its machine at which the answering container is reached.
async fn published(engine: &Engine) -> Result<u16, LifecycleError> {
    let path = format!("/containers/{ANSWERING}/json");
    let there = engine.call(Method::GET, &path, None).await?;
    port(&there).ok_or_else(|| LifecycleError::NotPublished {
        state: there["State"]["Status"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

fn port(container: &Value) -> Option<u16> {
    let bindings = container["NetworkSettings"]["Ports"][PORT].as_array()?;
    let mut ports = bindings.iter().filter_map(|one| one["HostPort"].as_str());
    ports.find_map(|port| port.parse().ok())
}

/// Waits for the asking container to end, and tells whether it was answered.
async fn ended_well(engine: &Engine) -> Result<bool, EngineError> {
    let path = format!("/containers/{ASKING}/wait");
    let ended = engine.call(Method::POST, &path, None).await?;
    Ok(ended["StatusCode"] == 0)
}

async fn remove(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let path = format!("/containers/{name}?force=1&v=1");
    match engine.call(Method::DELETE, &path, None).await {
        // Another call may be removing it already.
        Ok(_)
        | Err(EngineError::Refused {
            status: 404 | 409, ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_port_that_the_engine_chose() {
        let container = |bindings: Value| json!({"NetworkSettings": {"Ports": {PORT: bindings}}});
        let chosen = json!([{"HostIp": "0.0.0.0", "HostPort": "49153"}]);
        assert_eq!(port(&container(chosen)), Some(49153));
        assert_eq!(port(&container(Value::Null)), None);
        assert_eq!(port(&json!({})), None);
    }

    #[test]
    fn only_the_one_that_answers_is_published() {
        assert_eq!(
            body(&["create"], false)["HostConfig"]["PortBindings"],
            Value::Null
        );
        let answering = body(&["discovery"], true);
        assert_eq!(
            answering["HostConfig"]["PortBindings"][PORT][0]["HostPort"],
            ""
        );
        assert_eq!(answering["HostConfig"]["CapDrop"], json!(["ALL"]));
    }
}
