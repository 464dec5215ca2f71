use std::time::Duration;

use bytes::Bytes;
use http::Method;
use rmachine_driver::{CheckFailure, DriverError, Operation};
use rmachine_engine::{Engine, EngineEndpoint, EngineError};
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::container::{ISOLATION_LABEL, MACHINE_LABEL, Seen};
use crate::failure::{self, ABSENT, DENIED, backend_with_hint, chain, remedy};
use crate::host::DockerHost;
use crate::isolation::{Cgroups, Isolation};

/// How long one call may take: removing a machine takes its engine's whole storage away.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// How long an engine may take to say that it is there.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The engine below, in the words of this driver: the only place that knows its API's paths.
pub struct Daemon {
    engine: Engine,
    host: DockerHost,
}

/// What the engine's computer is like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Below {
    pub cgroups: Cgroups,
    pub architecture: String,
    /// `linux`, or `windows`.
    pub containers_of: String,
    /// In megabytes.
    pub memory: u64,
    pub processors: i64,
    /// The engine runs in a virtual machine of its own, which hides the containers' addresses.
    pub addresses_unreachable: bool,
}

impl Below {
    fn read(info: &Value, here: &str) -> Self {
        let text = |key: &str| info[key].as_str().unwrap_or_default();
        Self {
            // Engines that say nothing know version 1 only.
            cgroups: match text("CgroupVersion") {
                "2" => Cgroups::V2,
                _ => Cgroups::V1,
            },
            architecture: text("Architecture").to_owned(),
            containers_of: text("OSType").to_owned(),
            memory: info["MemTotal"].as_u64().unwrap_or_default() / (1024 * 1024),
            processors: info["NCPU"].as_i64().unwrap_or_default(),
            addresses_unreachable: text("OperatingSystem") == "Docker Desktop" || here != "linux",
        }
    }
}

/// No engine answered.
#[derive(Debug)]
pub struct Silence(Vec<EngineError>);

impl Silence {
    /// As what kept a driver from working.
    pub fn in_operation(self, operation: Operation) -> DriverError {
        backend_with_hint(operation, self.finding(), self.remedy())
    }

    /// As what the pre-create check found.
    pub fn as_check(&self) -> CheckFailure {
        failure::found("docker engine", self.finding(), self.remedy())
    }

    fn finding(&self) -> String {
        let tried: Vec<String> = self.0.iter().map(|error| chain(error)).collect();
        format!("no engine answers: {}", tried.join("; "))
    }

    fn remedy(&self) -> &'static str {
        let remedies: Vec<&str> = self.0.iter().filter_map(remedy).collect();
        // An engine that is there and shuts us out is nearer than one that is not there.
        let denied = remedies.iter().find(|text| **text == DENIED);
        denied.or(remedies.first()).copied().unwrap_or(ABSENT)
    }
}

impl Daemon {
    /// The first engine that answers.
    pub async fn find(hosts: &[DockerHost]) -> Result<Self, Silence> {
        let mut silent = Vec::new();
        for host in hosts {
            let found = Self {
                engine: Engine::new(endpoint(host), CALL_LIMIT),
                host: host.clone(),
            };
            // A later call names its own failure, so a known engine needs no probe.
            if hosts.len() == 1 {
                return Ok(found);
            }
            let probe = Engine::new(endpoint(host), PROBE_LIMIT);
            match probe.ping().await {
                Ok(_) => return Ok(found),
                Err(error) => silent.push(error),
            }
        }
        Err(Silence(silent))
    }

    /// Where it listens.
    pub fn host(&self) -> &DockerHost {
        &self.host
    }

    /// What its computer is like.
    pub async fn below(&self) -> Result<Below, EngineError> {
        let info = self.engine.info().await?;
        Ok(Below::read(&info, std::env::consts::OS))
    }

    /// The container of this name.
    pub async fn container(&self, name: &str) -> Result<Option<Seen>, EngineError> {
        let path = format!("/containers/{}/json", part(name));
        Ok(found(self.get(&path).await)?.map(Seen::new))
    }

    /// All containers, in the short form of the list.
    pub async fn containers(&self) -> Result<Vec<Value>, EngineError> {
        Ok(items(self.get("/containers/json?all=1").await?))
    }

    /// The isolation that works on this engine, as the machines on it show; without any, the
    /// first to try.
    pub async fn known_isolation(&self) -> Result<Isolation, EngineError> {
        let filters = json!({"label": [MACHINE_LABEL]}).to_string();
        let path = with_query("/containers/json", &[("all", "1"), ("filters", &filters)]);
        let shown = |container: &Value| container["Labels"][ISOLATION_LABEL].as_str()?.parse().ok();
        let machines = items(self.get(&path).await?);
        // One that only asked for privilege may still be refused it.
        let running = |container: &&Value| container["State"] == "running";
        let known = machines.iter().filter(running).find_map(shown);
        Ok(known.unwrap_or(Isolation::Privileged))
    }

    pub async fn make_container(&self, name: &str, body: &Value) -> Result<(), EngineError> {
        let path = with_query("/containers/create", &[("name", name)]);
        self.post(&path, Some(body)).await
    }

    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        self.post(&act(name, "start"), None).await
    }

    pub async fn unpause(&self, name: &str) -> Result<(), EngineError> {
        self.post(&act(name, "unpause"), None).await
    }

    /// Sends a signal to a container's first process; one that is down needs none.
    pub async fn signal(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let path = with_query(&act(name, "kill"), &[("signal", signal)]);
        match self.post(&path, None).await {
            Err(EngineError::Refused { status: 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Removes a container with its volumes, and returns when it is gone.
    pub async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{}?force=1&v=1", part(name));
        match found(self.engine.call(Method::DELETE, &path, None).await) {
            // Somebody else is at it.
            Err(EngineError::Refused { status: 409, .. }) => {
                let path = with_query(&act(name, "wait"), &[("condition", "removed")]);
                found(self.engine.call(Method::POST, &path, None).await)?;
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    /// The last lines of a container's console.
    pub async fn log(&self, name: &str) -> Result<String, EngineError> {
        let path = format!("{}?stdout=1&stderr=1&tail=15", act(name, "logs"));
        let bytes = self.engine.bytes(Method::GET, &path).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file in a container, as an archive.
    pub async fn file(&self, name: &str, path: &str) -> Result<Bytes, EngineError> {
        let path = with_query(&act(name, "archive"), &[("path", path)]);
        self.engine.bytes(Method::GET, &path).await
    }

    /// Lays an archive over a container's root.
    pub async fn lay_over(&self, name: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let path = with_query(&act(name, "archive"), &[("path", "/")]);
        let body = rmachine_engine::full(archive);
        self.engine
            .stream(Method::PUT, &path, TAR, body, |_| ())
            .await
    }

    pub async fn network(&self, name: &str) -> Result<Option<Value>, EngineError> {
        found(self.get(&format!("/networks/{}", part(name))).await)
    }

    pub async fn networks(&self) -> Result<Vec<Value>, EngineError> {
        Ok(items(self.get("/networks").await?))
    }

    pub async fn make_network(&self, body: &Value) -> Result<(), EngineError> {
        self.post("/networks/create", Some(body)).await
    }

    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/networks/{}", part(name));
        found(self.engine.call(Method::DELETE, &path, None).await)?;
        Ok(())
    }

    pub async fn has_image(&self, name: &str) -> Result<bool, EngineError> {
        let seen = self.get(&format!("/images/{}/json", part(name))).await;
        Ok(found(seen)?.is_some())
    }

    /// Fetches an image from its registry.
    pub async fn pull(
        &self,
        name: &str,
        on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let path = with_query("/images/create", &[("fromImage", name)]);
        let nothing = rmachine_engine::full(Vec::new());
        self.engine
            .stream(Method::POST, &path, TAR, nothing, on_line)
            .await
    }

    /// Builds an image from a context that holds a Dockerfile.
    pub async fn build(
        &self,
        tag: &str,
        arguments: &Value,
        labels: &Value,
        context: Vec<u8>,
        on_line: impl FnMut(&Value) + Send,
    ) -> Result<(), EngineError> {
        let path = with_query(
            "/build",
            &[
                ("t", tag),
                ("buildargs", &arguments.to_string()),
                ("labels", &labels.to_string()),
                ("rm", "1"),
                ("forcerm", "1"),
            ],
        );
        let body = rmachine_engine::full(context);
        self.engine
            .stream(Method::POST, &path, TAR, body, on_line)
            .await
    }

    /// Makes an image of an archive as it comes, and returns its id.
    pub async fn import(
        &self,
        changes: &[&str],
        archive: impl AsyncRead + Send + 'static,
    ) -> Result<String, EngineError> {
        let source = ("fromSrc", "-");
        let changes = changes.iter().map(|change| ("changes", *change));
        let query: Vec<(&str, &str)> = std::iter::once(source).chain(changes).collect();
        let path = with_query("/images/create", &query);
        let mut id = String::new();
        let body = rmachine_engine::reader(archive);
        self.engine
            .stream(Method::POST, &path, TAR, body, |line| {
                if let Some(said) = line["status"].as_str().filter(|s| s.starts_with("sha256:")) {
                    id = said.to_owned();
                }
            })
            .await?;
        Ok(id)
    }

    /// Gives an image a name.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        let path = format!("/images/{}/tag", part(image));
        let path = with_query(&path, &[("repo", repository), ("tag", tag)]);
        self.post(&path, None).await
    }

    pub async fn remove_image(&self, image: &str) -> Result<(), EngineError> {
        let path = format!("/images/{}", part(image));
        found(self.engine.call(Method::DELETE, &path, None).await)?;
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value, EngineError> {
        self.engine.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> Result<(), EngineError> {
        self.engine.call(Method::POST, path, body).await?;
        Ok(())
    }
}

const TAR: &str = "application/x-tar";

fn endpoint(host: &DockerHost) -> EngineEndpoint {
    match host {
        DockerHost::Unix(path) => EngineEndpoint::Unix(path.clone()),
        DockerHost::Loopback(ip, port) => EngineEndpoint::Plain {
            host: ip.to_string(),
            port: *port,
        },
    }
}

/// What is not there is an answer, not a failure.
fn found(answer: Result<Value, EngineError>) -> Result<Option<Value>, EngineError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn items(list: Value) -> Vec<Value> {
    match list {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn act(name: &str, verb: &str) -> String {
    format!("/containers/{}/{verb}", part(name))
}

/// A text as one part of a path.
fn part(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_engine_says_of_its_computer() {
        let info = json!({
            "CgroupVersion": "2", "Architecture": "x86_64", "OSType": "linux", "NCPU": 2,
            "MemTotal": 4_294_967_296_u64, "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
        });
        let below = Below::read(&info, "linux");
        assert_eq!((below.cgroups, below.memory), (Cgroups::V2, 4096));
        assert!(!below.addresses_unreachable);
        assert!(Below::read(&info, "macos").addresses_unreachable);
        let desktop = json!({"OperatingSystem": "Docker Desktop"});
        assert!(Below::read(&desktop, "linux").addresses_unreachable);
        assert_eq!(Below::read(&desktop, "linux").cgroups, Cgroups::V1);
    }

    #[test]
    fn names_stay_in_their_part_of_the_path() {
        assert_eq!(part("a/b:c?d#e"), "a%2Fb%3Ac%3Fd%23e");
        let path = with_query("/x", &[("labels", "{\"a\": \"b&c\"}"), ("rm", "1")]);
        assert_eq!(path, "/x?labels=%7B%22a%22%3A+%22b%26c%22%7D&rm=1");
    }
}
