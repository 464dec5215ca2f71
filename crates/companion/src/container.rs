use http::Method;
use rmachine_engine::{Engine, EngineError, full};
use serde_json::{Map, Value, json};

use crate::CompanionError;
use crate::archive::{add, hex};

/// The label with the hash of all that was asked of a container: another hash, another container.
const SPEC_LABEL: &str = "io.rmachine.companion.spec";

/// How many processes and threads a container may have. A Rust or Go program takes one for each of
/// the host's processors, and up to 512 for what blocks.
const PIDS: i64 = 2048;

/// Size at which a container's log is rotated, and how many files of it are kept: clients cause log
/// lines, and the engine's default is a log without an end.
const LOG_SIZE: &str = "10m";
const LOG_FILES: &str = "3";

/// How long a container that is stopped may take to leave in order, in seconds.
const STOP_SECONDS: u32 = 5;

/// A container as it is to be.
pub struct Container {
    pub(crate) name: &'static str,
    pub(crate) image: String,
    /// The program, where it is not the image's.
    pub(crate) entrypoint: Option<&'static str>,
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<String>,
    /// The address and the port of the machine at which its own port of that number is reached.
    pub(crate) port: Option<(String, u16)>,
    /// It has the machine's own network.
    pub(crate) host_network: bool,
    /// Volumes by name that outlive it, and where they are in it.
    pub(crate) volumes: Vec<(String, String)>,
    /// The directory for its files, which lies on a volume that goes with it.
    pub(crate) files_at: Option<&'static str>,
    pub(crate) files: Vec<File>,
    /// How much memory it may use, in bytes.
    pub(crate) memory: i64,
}

/// A file that is put into a container before it starts.
pub struct File {
    pub(crate) name: &'static str,
    pub(crate) mode: u32,
    pub(crate) content: String,
}

/// Outcome of [`converge`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Converged {
    /// What was done.
    pub change: Change,
    /// Limits that the engine's host does not support, each a sentence.
    pub warnings: Vec<String>,
}

/// What [`converge`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Nothing: it runs as it should.
    None,
    /// It was there, and was started.
    Started,
    /// It was made, in the place of another one if there was one.
    Made,
}

/// Makes a container what it is to be, and lets it run. One that already is stays as it is.
///
/// Where the host cannot limit the container's memory or processes, it runs without that limit, and
/// a warning says so.
///
/// # Errors
/// When the engine refuses a step. What is half made is finished by the next call.
pub async fn converge(engine: &Engine, wanted: &Container) -> Result<Converged, CompanionError> {
    let path = format!("/images/{}/json", wanted.image);
    let image = engine.call(Method::GET, &path, None).await?;
    let name = wanted.name;
    let mut change = Change::Made;
    let mut limits = Limits::ALL;
    let mut warnings = Vec::new();
    match inspect(engine, name).await? {
        Some(there) if wanted.is(&there, &image["Id"]) => match State::of(&there) {
            State::Running => {
                let change = Change::None;
                return Ok(Converged { change, warnings });
            }
            State::Ended => change = Change::Started,
            // Whoever made it may have been cut off before the files were in it.
            State::NeverStarted => {}
        },
        Some(_) => {
            remove(engine, name).await?;
            create(engine, wanted, limits).await?;
        }
        None => create(engine, wanted, limits).await?,
    }
    loop {
        if change == Change::Made {
            upload(engine, wanted).await?;
        }
        let error = match start(engine, name).await {
            Ok(()) => return Ok(Converged { change, warnings }),
            Err(error) => error,
        };
        let Some(supported) = limits.without_unsupported(&error) else {
            return Err(error.into());
        };
        warnings.extend(limits.warnings(supported, name));
        limits = supported;
        change = Change::Made;
        remove(engine, name).await?;
        create(engine, wanted, limits).await?;
    }
}

/// Stops a container in order and removes it. Says whether it was there.
///
/// # Errors
/// When the engine refuses that.
pub async fn remove(engine: &Engine, name: &str) -> Result<bool, CompanionError> {
    let stop = format!("/containers/{name}/stop?t={STOP_SECONDS}");
    match engine.call(Method::POST, &stop, None).await {
        Ok(_) => {}
        Err(EngineError::Refused { status: 404, .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let path = format!("/containers/{name}?force=1&v=1");
    match engine.call(Method::DELETE, &path, None).await {
        Ok(_) | Err(EngineError::Refused { status: 404, .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Lets a container stay down once its program ends. Says whether it is there.
///
/// # Errors
/// When the engine refuses that.
pub async fn let_end(engine: &Engine, name: &str) -> Result<bool, CompanionError> {
    let path = format!("/containers/{name}/update");
    let policy = json!({"RestartPolicy": {"Name": "no"}});
    match engine.call(Method::POST, &path, Some(&policy)).await {
        Ok(_) => Ok(true),
        Err(EngineError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a volume, with all that is on it. One that is not there is as well.
///
/// # Errors
/// When the engine refuses that, as for one that a container has.
pub async fn remove_volume(engine: &Engine, name: &str) -> Result<(), CompanionError> {
    let path = format!("/volumes/{name}");
    match engine.call(Method::DELETE, &path, None).await {
        Ok(_) | Err(EngineError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The last lines that a container wrote.
///
/// # Errors
/// When the engine does not show them.
pub async fn last_words(
    engine: &Engine,
    name: &str,
    lines: usize,
) -> Result<Vec<String>, CompanionError> {
    let path = format!("/containers/{name}/logs?stdout=1&stderr=1&tail={lines}");
    let log = engine.bytes(Method::GET, &path).await?;
    let text = String::from_utf8_lossy(&joined(&log)).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

/// The limits that a container has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Limits {
    memory: bool,
    pids: bool,
}

impl Limits {
    const ALL: Self = Self {
        memory: true,
        pids: true,
    };

    /// The limits that are left when a container did not start for want of the others. `None` where
    /// that is not why.
    ///
    /// Engines leave out limits which the kernel lacks. What they do not see before runc does is a
    /// controller that is not delegated to them, as in a container or without root.
    fn without_unsupported(self, error: &EngineError) -> Option<Self> {
        let EngineError::Refused { message, .. } = error else {
            return None;
        };
        let message = message.to_ascii_lowercase();
        if !message.contains("cgroup") {
            return None;
        }
        let left = match (message.contains("memory"), message.contains("pids")) {
            (true, false) => Self {
                memory: false,
                ..self
            },
            (false, true) => Self {
                pids: false,
                ..self
            },
            _ => Self {
                memory: false,
                pids: false,
            },
        };
        (left != self).then_some(left)
    }

    /// One sentence for each limit that is given up.
    fn warnings(self, left: Self, name: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        for (is_given_up, what) in [
            (self.memory && !left.memory, "memory"),
            (self.pids && !left.pids, "number of processes"),
        ] {
            if is_given_up {
                warnings.push(format!(
                    "the host cannot limit the {what} of container {name}, which runs without that \
                     limit"
                ));
            }
        }
        warnings
    }
}

enum State {
    NeverStarted,
    Running,
    Ended,
}

impl State {
    fn of(there: &Value) -> Self {
        let state = &there["State"];
        match state["Status"].as_str() {
            Some("created") => Self::NeverStarted,
            _ if state["Running"] == true => Self::Running,
            _ => Self::Ended,
        }
    }
}

impl Container {
    /// Its name on its engine.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn is(&self, there: &Value, image_id: &Value) -> bool {
        there["Config"]["Labels"][SPEC_LABEL] == *self.hash() && there["Image"] == *image_id
    }

    /// What `POST /containers/create` takes.
    fn body(&self) -> Value {
        let mut ports = Map::new();
        let mut bindings = Map::new();
        if let Some((host_ip, port)) = &self.port {
            let key = format!("{port}/tcp");
            let binding = json!([{"HostIp": host_ip, "HostPort": port.to_string()}]);
            ports.insert(key.clone(), json!({}));
            bindings.insert(key, binding);
        }
        let binds: Vec<_> = self
            .volumes
            .iter()
            .map(|(name, at)| format!("{name}:{at}"))
            .collect();
        let volumes: Map<_, _> = self
            .files_at
            .iter()
            .map(|dir| ((*dir).to_owned(), json!({})))
            .collect();
        let mut body = json!({
            "Image": self.image,
            "Cmd": self.command,
            "Env": self.env,
            "ExposedPorts": ports,
            "Volumes": volumes,
            "HostConfig": {
                "RestartPolicy": {"Name": "always"},
                "PortBindings": bindings,
                "Binds": binds,
                "ReadonlyRootfs": true,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Memory": self.memory,
                "PidsLimit": PIDS,
                "LogConfig": {
                    "Type": "json-file",
                    "Config": {"max-size": LOG_SIZE, "max-file": LOG_FILES},
                },
            },
        });
        if let Some(program) = self.entrypoint {
            body["Entrypoint"] = json!([program]);
        }
        if self.host_network {
            body["HostConfig"]["NetworkMode"] = json!("host");
        }
        body
    }

    /// The hash of all that is asked of it, its files included.
    fn hash(&self) -> String {
        let mut all = self.body().to_string();
        for file in &self.files {
            let head = format!("\0{} {:o} {}\0", file.name, file.mode, file.content.len());
            all.push_str(&head);
            all.push_str(&file.content);
        }
        hex(all.as_bytes())
    }

    fn archive(&self) -> Result<Vec<u8>, CompanionError> {
        let failed = |source| CompanionError::Archive {
            what: "the certificates of a container",
            source,
        };
        let mut archive = tar::Builder::new(Vec::new());
        for file in &self.files {
            add(&mut archive, file.name, file.mode, file.content.as_bytes()).map_err(failed)?;
        }
        archive.into_inner().map_err(failed)
    }
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<Value>, CompanionError> {
    let path = format!("/containers/{name}/json");
    match engine.call(Method::GET, &path, None).await {
        Ok(there) => Ok(Some(there)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates a container. Its label is that of all limits, so that it stays where a host does not
/// support them.
async fn create(engine: &Engine, wanted: &Container, limits: Limits) -> Result<(), CompanionError> {
    let mut body = wanted.body();
    body["Labels"] = json!({SPEC_LABEL: wanted.hash()});
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) {
        if !limits.memory {
            host.remove("Memory");
        }
        if !limits.pids {
            host.remove("PidsLimit");
        }
    }
    let path = format!("/containers/create?name={}", wanted.name);
    engine.call(Method::POST, &path, Some(&body)).await?;
    Ok(())
}

async fn upload(engine: &Engine, wanted: &Container) -> Result<(), CompanionError> {
    let Some(dir) = wanted.files_at else {
        return Ok(());
    };
    let path = format!("/containers/{}/archive?path={dir}", wanted.name);
    let archive = full(wanted.archive()?);
    let uploading = engine.stream(Method::PUT, &path, "application/x-tar", archive, |_| ());
    Ok(uploading.await?)
}

async fn start(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let path = format!("/containers/{name}/start");
    engine.call(Method::POST, &path, None).await?;
    Ok(())
}

/// What was written to both outputs. Each piece has a head of eight bytes, the last four of which
/// are its length.
fn joined(log: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len());
    let mut rest = log;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [_, _, _, _, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (piece, after) = after.split_at(length.min(after.len()));
        text.extend_from_slice(piece);
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            name: "swarm-agent",
            image: "rswarm:1".to_owned(),
            entrypoint: None,
            command: vec!["join".to_owned()],
            env: Vec::new(),
            port: Some((String::new(), 3376)),
            host_network: false,
            volumes: vec![("kept".to_owned(), "/kept".to_owned())],
            files_at: Some("/tls"),
            files: vec![File {
                name: "key.pem",
                mode: 0o600,
                content: "KEY".to_owned(),
            }],
            memory: 1 << 27,
        }
    }

    #[test]
    fn is_another_one_as_soon_as_anything_differs() {
        let hash = container().hash();
        assert_eq!(container().hash(), hash);
        let changes: [fn(&mut Container); 8] = [
            |container| container.entrypoint = Some("/x"),
            |container| container.host_network = true,
            |container| container.command.push("x".to_owned()),
            |container| container.env.push("A=b".to_owned()),
            |container| container.port = None,
            |container| container.files[0].content.push('x'),
            |container| container.files[0].mode = 0o644,
            |container| container.memory = 1 << 28,
        ];
        for change in changes {
            let mut other = container();
            change(&mut other);
            assert_ne!(other.hash(), hash);
        }
    }

    #[test]
    fn stays_as_long_as_its_image_is_the_same_too() {
        let hash = container().hash();
        let there = json!({"Image": "sha256:1", "Config": {"Labels": {SPEC_LABEL: hash}}});
        assert!(container().is(&there, &json!("sha256:1")));
        assert!(!container().is(&there, &json!("sha256:2")));
        assert!(!container().is(&json!({"Image": "sha256:1"}), &json!("sha256:1")));
    }

    #[test]
    fn has_no_rights_that_it_does_not_need() {
        let body = container().body();
        let host = &body["HostConfig"];
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(
            host["PortBindings"],
            json!({"3376/tcp": [{"HostIp": "", "HostPort": "3376"}]})
        );
        assert!(!body.to_string().contains("KEY"));
    }

    #[test]
    fn container_has_limits_of_memory_processes_and_log() {
        let host = &container().body()["HostConfig"];
        assert_eq!(host["Memory"], 1 << 27);
        assert_eq!(host["PidsLimit"], 2048);
        assert_eq!(
            host["LogConfig"],
            json!({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}})
        );
    }

    #[test]
    fn limits_that_the_host_does_not_support_are_given_up() {
        let limits = |memory, pids| Limits { memory, pids };
        let refused = |message: &str| EngineError::Refused {
            status: 500,
            message: message.to_owned(),
            path: "/containers/x/start".to_owned(),
        };
        for (message, left) in [
            (
                "OCI runtime create failed: runc create failed: unable to start container process: \
                 error during container init: error setting cgroup config for procHooks process: \
                 openat2 /sys/fs/cgroup/docker/0a/memory.max: no such file or directory: unknown",
                Some(limits(false, true)),
            ),
            (
                "error setting cgroup config for procHooks process: cannot set pids limit: \
                 container could not join or create cgroup",
                Some(limits(true, false)),
            ),
            (
                "OCI runtime create failed: unable to apply cgroup configuration: permission denied",
                Some(limits(false, false)),
            ),
            ("driver failed programming: port is already allocated", None),
            ("cannot allocate memory", None),
        ] {
            let error = refused(message);
            assert_eq!(Limits::ALL.without_unsupported(&error), left, "{message}");
        }
        let none = limits(false, false);
        let error = refused("unable to apply cgroup configuration");
        assert_eq!(none.without_unsupported(&error), None, "there is an end");
        assert_eq!(
            Limits::ALL.warnings(limits(false, true), "swarm-agent"),
            [
                "the host cannot limit the memory of container swarm-agent, which runs without \
                 that limit"
            ]
        );
        assert_eq!(Limits::ALL.warnings(none, "x").len(), 2);
    }

    #[test]
    fn reads_what_was_written_to_both_outputs() {
        let mut log = vec![1, 0, 0, 0, 0, 0, 0, 2, b'a', b'\n'];
        log.extend([2, 0, 0, 0, 0, 0, 0, 9, b'b']);
        assert_eq!(joined(&log), b"a\nb");
        assert!(joined(&[1, 0, 0]).is_empty());
    }
}
