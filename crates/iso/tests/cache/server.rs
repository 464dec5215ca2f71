//! A web server that has one file, and the bad days of one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the server answers.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub body: Vec<u8>,
    /// Its entity tag; without one, and without a date, nobody can tell versions apart.
    pub etag: Option<&'static str>,
    /// Whether it knows ranges.
    pub ranges: bool,
    /// Whether it sends a range only of the version that was asked for.
    pub if_range: bool,
    /// After how many bytes each of the first answers is cut off.
    pub cuts: Vec<usize>,
    /// The status of each of the first answers, before those that are good.
    pub refusals: Vec<u16>,
    /// The pause after each piece of 64 KiB.
    pub pause: Duration,
    /// Only on this path; on all, when it is empty.
    pub path: &'static str,
}

impl Behaviour {
    pub fn of(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            etag: Some("\"one\""),
            ranges: true,
            if_range: true,
            cuts: Vec::new(),
            refusals: Vec::new(),
            pause: Duration::ZERO,
            path: "",
        }
    }
}

/// A request that came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub line: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub authorization: Option<String>,
}

/// The server. It ends with the process.
pub struct Server {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let behaviour = Arc::new(Mutex::new(behaviour));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, seen) = (behaviour.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, seen) = (shared.clone(), seen.clone());
                thread::spawn(move || {
                    // A client that goes away is not the server's concern.
                    let _ = answer(stream, &shared, &seen);
                });
            }
        });
        Self {
            port,
            behaviour,
            requests,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    shared: &Mutex<Behaviour>,
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read(&stream)?;
    seen.lock().unwrap().push(request.clone());
    let mut behaviour = shared.lock().unwrap();
    let refusal = (!behaviour.refusals.is_empty()).then(|| behaviour.refusals.remove(0));
    let cut = (refusal.is_none() && !behaviour.cuts.is_empty()).then(|| behaviour.cuts.remove(0));
    let now = behaviour.clone();
    drop(behaviour);
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let missing = (!now.path.is_empty() && !path.ends_with(now.path)).then_some(404);
    if let Some(status) = refusal.or(missing) {
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let current = match &request.if_range {
        None => true,
        Some(_) if !now.if_range => true,
        Some(version) => now.etag == Some(version.as_str()),
    };
    let from = request
        .range
        .filter(|_| now.ranges && current)
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
    let total = now.body.len();
    if from.is_some_and(|from| from >= total) {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let etag = now
        .etag
        .map_or_else(String::new, |tag| format!("ETag: {tag}\r\n"));
    let (status, range) = match from {
        None => ("200 OK", String::new()),
        Some(from) => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
        ),
    };
    let rest = &now.body[from.unwrap_or(0)..];
    let length = rest.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{etag}{range}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    for piece in rest[..cut.unwrap_or(length).min(length)].chunks(64 * 1024) {
        stream.write_all(piece)?;
        thread::sleep(now.pause);
    }
    Ok(())
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut request = Request::default();
    for (number, line) in BufReader::new(stream).lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        match line.to_ascii_lowercase().split_once(": ") {
            _ if number == 0 => request.line.clone_from(&line),
            Some(("range", value)) => request.range = Some(value.to_owned()),
            Some(("if-range", value)) => request.if_range = Some(value.to_owned()),
            Some(("authorization", value)) => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(request)
}

/// A file with the head of an ISO, of this many sectors.
pub fn iso(label: &str, sectors: u32) -> Vec<u8> {
    let mut image: Vec<u8> = (0..sectors * 2048).map(|n| (n / 7) as u8).collect();
    let head = &mut image[16 * 2048..17 * 2048];
    head.fill(0);
    head[..7].copy_from_slice(b"\x01CD001\x01");
    head[40..72].fill(b' ');
    head[40..40 + label.len()].copy_from_slice(label.as_bytes());
    head[80..84].copy_from_slice(&sectors.to_le_bytes());
    head[128..130].copy_from_slice(&2048_u16.to_le_bytes());
    image
}
