//! An engine of a few containers on loopback, which can be made to fail. Its answers have the form
//! of a real one's.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// An engine; ends with the value.
pub struct Simulated {
    pub addr: String,
    engine: Arc<Engine>,
    _running: DropGuard,
}

struct Engine {
    id: String,
    name: String,
    containers: Mutex<BTreeMap<String, Value>>,
    events: broadcast::Sender<String>,
    /// It takes requests and does not answer them.
    hangs: watch::Sender<bool>,
    /// It ends each stream of events at once.
    ends_events: AtomicBool,
    /// It closes the connection instead of answering to a create.
    drops_creates: AtomicBool,
    asked: Mutex<BTreeMap<String, usize>>,
}

impl Simulated {
    /// An engine at a free port.
    pub async fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0").await
    }

    pub async fn start_at(name: &str, addr: &str) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let engine = Arc::new(Engine {
            id: format!("ID-{name}"),
            name: name.to_owned(),
            containers: Mutex::default(),
            events: broadcast::Sender::new(256),
            hangs: watch::Sender::new(false),
            ends_events: AtomicBool::new(false),
            drops_creates: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let addr = listener.local_addr().unwrap().to_string();
        let token = CancellationToken::new();
        let serving = serve(listener, Arc::clone(&engine), token.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(serving));
        Self {
            addr,
            engine,
            _running: token.drop_guard(),
        }
    }

    /// Creates a container, and tells of it if somebody should know.
    pub fn create(&self, id: &str, name: &str, labels: &Value, tell: bool) {
        let item = json!({
            "Id": id, "Names": [format!("/{name}")], "Image": "nginx:1", "ImageID": "sha256:4d38",
            "Command": "nginx", "Created": 1_700_000_000, "Ports": [], "Labels": labels,
            "State": "created", "Status": "Created", "HostConfig": { "NetworkMode": "bridge" },
            "NetworkSettings": { "Networks": {} }, "Mounts": [],
        });
        lock(&self.engine.containers).insert(id.to_owned(), item);
        if tell {
            self.tell("create", id);
        }
    }

    pub fn start_container(&self, id: &str) {
        if let Some(item) = lock(&self.engine.containers).get_mut(id) {
            item["State"] = "running".into();
            item["Status"] = "Up Less than a second".into();
            item["Ports"] = json!([
                { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                { "IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
            ]);
        }
        self.tell("start", id);
    }

    pub fn destroy(&self, id: &str) {
        lock(&self.engine.containers).remove(id);
        self.tell("destroy", id);
    }

    fn tell(&self, action: &str, id: &str) {
        let time = std::time::UNIX_EPOCH.elapsed().unwrap();
        let event = json!({
            "status": action, "id": id, "from": "nginx:1", "Type": "container", "Action": action,
            "Actor": { "ID": id, "Attributes": { "image": "nginx:1" } }, "scope": "local",
            "time": time.as_secs(), "timeNano": u64::try_from(time.as_nanos()).unwrap(),
        });
        let _ = self.engine.events.send(format!("{event}\n"));
    }

    pub fn hang(&self, hangs: bool) {
        self.engine.hangs.send_replace(hangs);
    }

    pub fn end_events(&self, ends: bool) {
        self.engine.ends_events.store(ends, Ordering::Relaxed);
    }

    pub fn drop_creates(&self) {
        self.engine.drops_creates.store(true, Ordering::Relaxed);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        lock(&self.engine.asked).get(path).copied().unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, engine: Arc<Engine>, token: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let engine = Arc::clone(&engine);
        let service = service_fn(move |request| {
            let engine = Arc::clone(&engine);
            async move {
                let is_create = request.uri().path().ends_with("/containers/create");
                if is_create && engine.drops_creates.load(Ordering::Relaxed) {
                    engine.count("/containers/create");
                    return Err(std::io::Error::other("the connection is closed"));
                }
                Ok(engine.answer(request).await)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            let _ = connection.await;
        }));
    }
}

impl Engine {
    fn count(&self, path: &str) {
        *lock(&self.asked).entry(path.to_owned()).or_default() += 1;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let _ = self.hangs.subscribe().wait_for(|hangs| !hangs).await;
        let path = request.uri().path();
        let path = match path.strip_prefix("/v1.41") {
            Some(rest) => rest,
            None => path,
        };
        self.count(path);
        let query = request.uri().query().unwrap_or_default();
        match path {
            "/version" => whole(&json!({
                "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
                "Os": "linux", "Arch": "amd64",
            })),
            "/info" => whole(&json!({
                "ID": self.id, "Name": self.name, "NCPU": 2,
                "MemTotal": 4_000_000_000_u64, "Driver": "overlay2", "OSType": "linux",
                "OperatingSystem": "Debian", "KernelVersion": "6.1", "Labels": ["zone=eu"],
            })),
            "/events" => self.follow(),
            "/containers/json" => {
                let containers = lock(&self.containers);
                let wanted = containers
                    .iter()
                    .filter(|(id, _)| !query.contains("filters") || query.contains(id.as_str()));
                whole(&wanted.map(|(_, item)| item.clone()).collect())
            }
            "/images/json" => whole(&json!([
                { "Id": "sha256:4d38aa", "RepoTags": ["nginx:1"], "RepoDigests": null },
            ])),
            "/volumes" => whole(&json!({
                "Volumes": [{ "Name": "v", "Driver": "local", "Scope": "local" }],
            })),
            "/networks" => whole(&json!([
                { "Name": "bridge", "Id": "1974", "Driver": "bridge", "Scope": "local" },
            ])),
            _ => self.inspect(path),
        }
    }

    fn inspect(&self, path: &str) -> Answer {
        let id = path
            .trim_start_matches("/containers/")
            .trim_end_matches("/json");
        match lock(&self.containers).get(id) {
            Some(item) => whole(&json!({
                "Id": id, "Name": item["Names"][0], "State": { "Status": item["State"] },
                "Config": { "Labels": item["Labels"] },
                "HostConfig": { "NetworkMode": "bridge", "Memory": 1_000_000, "CpuShares": 512,
                    "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] } },
                "NetworkSettings": { "Ports": {} },
            })),
            None => {
                let mut answer = whole(&json!({ "message": "No such container" }));
                *answer.status_mut() = StatusCode::NOT_FOUND;
                answer
            }
        }
    }

    fn follow(&self) -> Answer {
        if self.ends_events.load(Ordering::Relaxed) {
            return Response::new(Full::new(Bytes::new()).boxed_unsync());
        }
        let events = futures_util::stream::unfold(self.events.subscribe(), |mut events| async {
            let line = events.recv().await.ok()?;
            Some((Ok(Frame::data(Bytes::from(line))), events))
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }
}

fn whole(value: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}
