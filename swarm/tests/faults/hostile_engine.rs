//! An engine whose responses a test chooses byte by byte. What is not chosen is as of a real engine
//! without containers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A response that a test chooses.
#[derive(Clone)]
pub enum Reply {
    /// JSON, or what should be JSON, with a status.
    Json(u16, String),
    /// These bytes, then the second ones for ever.
    Endless(String, String),
}

/// A request that the engine got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Without the version, with the query.
    pub path: String,
    /// The lines of the head, in lower case.
    pub head: String,
}

/// An engine; ends with the value.
pub struct HostileEngine {
    pub port: u16,
    shared: Arc<Shared>,
    _running: DropGuard,
}

struct Shared {
    name: String,
    replies: Mutex<BTreeMap<String, Reply>>,
    seen: Mutex<Vec<Seen>>,
    events: broadcast::Sender<String>,
}

impl HostileEngine {
    pub async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            replies: Mutex::default(),
            seen: Mutex::default(),
            events: broadcast::Sender::new(1024),
        });
        let token = CancellationToken::new();
        let accepting = accept(listener, Arc::clone(&shared), token.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(accepting));
        Self {
            port,
            shared,
            _running: token.drop_guard(),
        }
    }

    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Chooses the response to a path without version and query.
    pub fn reply(&self, path: &str, reply: Reply) {
        lock(&self.shared.replies).insert(path.to_owned(), reply);
    }

    pub fn json(&self, path: &str, json: &Value) {
        self.reply(path, Reply::Json(200, json.to_string()));
    }

    /// Sends text to those who follow the events; returns how many do.
    pub fn event(&self, text: impl Into<String>) -> usize {
        self.shared.events.send(text.into()).unwrap_or(0)
    }

    /// The requests so far whose path begins so.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = lock(&self.shared.seen);
        let fitting = seen.iter().filter(|seen| seen.path.starts_with(path));
        fitting.cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, token: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let serving = serve(stream, Arc::clone(&shared));
        tokio::spawn(token.clone().run_until_cancelled_owned(serving));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(seen) = request(&mut stream).await {
        let path = seen.path.split('?').next().unwrap_or_default().to_owned();
        lock(&shared.seen).push(seen);
        let reply = lock(&shared.replies).get(&path).cloned();
        let answered = match (reply, path.as_str()) {
            (Some(Reply::Json(status, json)), _) => respond(&mut stream, status, &json).await,
            (Some(Reply::Endless(begin, more)), _) => endless(&mut stream, &begin, &more).await,
            (None, "/events") => events(&mut stream, shared.events.subscribe()).await,
            (None, path) => {
                let (status, json) = usual(&shared.name, path);
                respond(&mut stream, status, &json.to_string()).await
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

/// The next request, with its body.
async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?);
    let path = path.strip_prefix("/v1.41").unwrap_or(path).to_owned();
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method, path, head })
}

async fn respond(stream: &mut TcpStream, status: u16, json: &str) -> std::io::Result<()> {
    let length = json.len();
    let head = format!(
        "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(json.as_bytes()).await
}

async fn endless(stream: &mut TcpStream, begin: &str, more: &str) -> std::io::Result<()> {
    stream.write_all(begin.as_bytes()).await?;
    loop {
        stream.write_all(more.as_bytes()).await?;
    }
}

async fn events(
    stream: &mut TcpStream,
    mut events: broadcast::Receiver<String>,
) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    while let Ok(text) = events.recv().await {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        stream.write_all(chunk.as_bytes()).await?;
    }
    Ok(())
}

fn usual(name: &str, path: &str) -> (u16, Value) {
    let json = match path {
        "/version" => json!({
            "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
            "Os": "linux", "Arch": "amd64",
        }),
        "/info" => json!({
            "ID": format!("ID-{name}"), "Name": name, "NCPU": 2, "MemTotal": 4_000_000_000_u64,
            "Driver": "overlay2", "OSType": "linux", "OperatingSystem": "Debian",
            "KernelVersion": "6.1", "Labels": [],
        }),
        "/containers/json" | "/images/json" => json!([]),
        "/volumes" => json!({"Volumes": []}),
        "/networks" => json!([
            {"Name": "bridge", "Id": "1974", "Driver": "bridge", "Scope": "local"},
            {"Name": "wide", "Id": "2001", "Driver": "overlay", "Scope": "global"},
        ]),
        "/_ping" | "/auth" | "/images/create" => json!({"Status": "Login Succeeded"}),
        "/containers/create" => return (201, json!({"Id": "c0ffee", "Warnings": []})),
        "/volumes/create" | "/networks/create" => return (201, json!({"Id": "2002", "Name": "x"})),
        _ => return (404, json!({"message": "page not found"})),
    };
    (200, json)
}
