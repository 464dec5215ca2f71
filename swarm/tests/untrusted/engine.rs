//! An engine on loopback, behind mutual TLS or in the clear, that keeps containers, and can be made to report anything.
//! Its answers have the form of a real one's.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What every image adds to the environment.
const IMAGE_ENV: &str = "PATH=/bin";

/// An engine. Its containers run on while it is [cut off](Self::cut_off).
pub struct Engine {
    pub addr: String,
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
    listening: Option<DropGuard>,
}

struct Shared {
    id: String,
    name: String,
    /// Inspected containers by ID.
    containers: Mutex<BTreeMap<String, Value>>,
    events: broadcast::Sender<String>,
    /// Requests that change something: method, path with query, body.
    changes: Mutex<Vec<(Method, String, Value)>>,
}

impl Engine {
    pub async fn start(name: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut engine = Self {
            addr: "127.0.0.1:0".to_owned(),
            shared: Arc::new(Shared {
                id: format!("ID-{name}"),
                name: name.to_owned(),
                containers: Mutex::default(),
                events: broadcast::Sender::new(256),
                changes: Mutex::default(),
            }),
            tls,
            listening: None,
        };
        engine.reconnect().await;
        engine
    }

    /// Closes the port and all connections.
    pub fn cut_off(&mut self) {
        self.listening = None;
    }

    /// Listens again, at the same address.
    pub async fn reconnect(&mut self) {
        let listener = TcpListener::bind(&self.addr).await.unwrap();
        self.addr = listener.local_addr().unwrap().to_string();
        let token = CancellationToken::new();
        let acceptor = self.tls.clone().map(TlsAcceptor::from);
        let serving = serve(listener, acceptor, Arc::clone(&self.shared), token.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(serving));
        self.listening = Some(token.drop_guard());
    }

    /// Adds a container that nobody requested. It has a MiB of memory, by which `docker info` shows
    /// that it was inspected.
    pub fn add(&self, id: &str, name: &str, config: &Value, host: &Value) {
        let mut inspect = inspected(id, name, config, host);
        inspect["HostConfig"]["Memory"] = json!(1 << 20);
        self.shared.containers().insert(id.to_owned(), inspect);
        self.shared.tell("create", id);
    }

    /// Starts a container, at this time.
    pub fn run(&self, id: &str, started_at: &str) {
        if let Some(found) = self.shared.containers().get_mut(id) {
            run(found, started_at);
        }
        self.shared.tell("start", id);
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<Value> {
        let containers = self.shared.containers();
        let mut found = containers.values();
        found.find(|it| it["Name"] == format!("/{name}")).cloned()
    }

    /// The bodies of all create requests, by name.
    pub fn created(&self) -> Vec<(String, Value)> {
        let changes = self.shared.changes();
        let creates = changes.iter().filter_map(|(method, path, body)| {
            let name = path.strip_prefix("/containers/create?name=")?;
            (method == Method::POST).then(|| (name.to_owned(), body.clone()))
        });
        creates.collect()
    }

    /// The paths of requests that change this container.
    pub fn changes_of(&self, id: &str) -> Vec<String> {
        let changes = self.shared.changes();
        let paths = changes.iter().map(|(_, path, _)| path);
        paths.filter(|path| path.contains(id)).cloned().collect()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    token: CancellationToken,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        let connection = async move {
            match acceptor {
                None => talk(stream, shared).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, shared).await;
                    }
                }
            }
        };
        tokio::spawn(token.clone().run_until_cancelled_owned(connection));
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Shared {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Vec<(Method, String, Value)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, action: &str, id: &str) {
        let time = std::time::UNIX_EPOCH.elapsed().unwrap();
        let event = json!({
            "status": action, "id": id, "from": "x", "Type": "container", "Action": action,
            "Actor": { "ID": id, "Attributes": {} }, "scope": "local",
            "time": time.as_secs(), "timeNano": u64::try_from(time.as_nanos()).unwrap(),
        });
        let _ = self.events.send(format!("{event}\n"));
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let whole_path = head.uri.path_and_query().unwrap().as_str();
        let whole_path = whole_path.strip_prefix("/v1.41").unwrap_or(whole_path);
        let (path, query) = whole_path.split_once('?').unwrap_or((whole_path, ""));
        let body = body.collect().await.map(|body| body.to_bytes());
        let body = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        if head.method != Method::GET {
            self.changes()
                .push((head.method.clone(), whole_path.to_owned(), body));
            return self.change(&head.method, path, query);
        }
        match path {
            "/_ping" => whole(&json!("OK")),
            "/version" => whole(&json!({
                "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
                "Os": "linux", "Arch": "amd64",
            })),
            "/info" => whole(&json!({
                "ID": self.id, "Name": self.name, "NCPU": 4,
                "MemTotal": 4_000_000_000_u64, "Driver": "overlay2", "OSType": "linux",
                "OperatingSystem": "Debian", "KernelVersion": "6.1", "Labels": [],
            })),
            "/events" => self.follow(),
            "/containers/json" => {
                let containers = self.containers();
                let listed = containers
                    .iter()
                    .filter(|(id, _)| !query.contains("filters") || query.contains(id.as_str()))
                    .map(|(_, inspect)| item(inspect));
                whole(&listed.collect())
            }
            "/images/json" => whole(&json!([
                { "Id": "sha256:4d38aa", "RepoTags": ["nginx:1"], "RepoDigests": null },
            ])),
            "/volumes" => whole(&json!({ "Volumes": [] })),
            "/networks" => whole(&json!([])),
            _ => {
                let id = path
                    .trim_start_matches("/containers/")
                    .trim_end_matches("/json");
                match self.containers().get(id) {
                    Some(inspect) => whole(inspect),
                    None => missing(),
                }
            }
        }
    }

    fn change(&self, method: &Method, path: &str, query: &str) -> Answer {
        let body = self.changes().last().unwrap().2.clone();
        let name = query.strip_prefix("name=").unwrap_or_default();
        if path == "/containers/create" {
            return self.create(name, &body);
        }
        let mut parts = path.trim_start_matches("/containers/").split('/');
        let (id, action) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let mut containers = self.containers();
        let Some(inspect) = containers.get_mut(id) else {
            return missing();
        };
        match (method.as_str(), action) {
            ("DELETE", _) => drop(containers.remove(id)),
            (_, "start") => run(inspect, &now()),
            (_, "stop") => {
                inspect["State"]["Status"] = json!("exited");
                inspect["State"]["Running"] = json!(false);
            }
            (_, "rename") => inspect["Name"] = json!(format!("/{name}")),
            (_, "update") => {
                let changed = body.as_object().cloned().unwrap_or_default();
                for (key, value) in changed {
                    inspect["HostConfig"][key] = value;
                }
            }
            _ => return missing(),
        }
        drop(containers);
        let event = match action {
            "" => "destroy",
            action => action,
        };
        self.tell(event, id);
        whole(&json!({ "Warnings": null }))
    }

    fn create(&self, name: &str, body: &Value) -> Answer {
        let id = {
            // No ID is used again.
            let number = self.changes().len();
            let id = format!("{}{number:060x}", hex(&self.name));
            let mut containers = self.containers();
            let mut config = body.clone();
            let host = config["HostConfig"].take();
            let mut env = body["Env"].as_array().cloned().unwrap_or_default();
            env.push(json!(IMAGE_ENV));
            config["Env"] = Value::Array(env);
            let inspect = inspected(&id, name, &config, &host);
            containers.insert(id.clone(), inspect);
            id
        };
        self.tell("create", &id);
        let mut answer = whole(&json!({ "Id": id, "Warnings": [] }));
        *answer.status_mut() = StatusCode::CREATED;
        answer
    }

    fn follow(&self) -> Answer {
        let events = futures_util::stream::unfold(self.events.subscribe(), |mut events| async {
            let line = events.recv().await.ok()?;
            Some((Ok(Frame::data(Bytes::from(line))), events))
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }
}

fn inspected(id: &str, name: &str, config: &Value, host: &Value) -> Value {
    json!({
        "Id": id, "Name": format!("/{name}"), "Created": now(),
        "State": { "Status": "created", "Running": false, "StartedAt": "0001-01-01T00:00:00Z" },
        "Config": config, "HostConfig": host,
        "NetworkSettings": { "Ports": {}, "Networks": { "bridge": { "NetworkID": "b" } } },
    })
}

fn run(inspect: &mut Value, started_at: &str) {
    inspect["State"] = json!({ "Status": "running", "Running": true, "StartedAt": started_at });
}

/// An item of the list.
fn item(inspect: &Value) -> Value {
    json!({
        "Id": inspect["Id"], "Names": [inspect["Name"]], "Image": inspect["Config"]["Image"],
        "ImageID": "sha256:4d38aa", "Command": "x", "Created": 1_700_000_000, "Ports": [],
        "Labels": inspect["Config"]["Labels"], "State": inspect["State"]["Status"],
        "Status": "Up 1 second", "HostConfig": { "NetworkMode": "default" },
        "NetworkSettings": { "Networks": {} }, "Mounts": [],
    })
}

/// The time by this machine's clock, as engines write it.
pub fn now() -> String {
    humantime::format_rfc3339_nanos(std::time::SystemTime::now()).to_string()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn missing() -> Answer {
    let mut answer = whole(&json!({ "message": "No such container" }));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

fn whole(value: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}
