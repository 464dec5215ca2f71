//! Work for many clients, or for one with much to send.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use rmachine_companion::{Architecture, Image};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::asks::{Client, median};

/// The name of the image that is loaded.
const IMAGE: &str = "bench:load";

/// Numbers the containers: each has a name of its own.
static NAMED: AtomicU64 = AtomicU64::new(0);

/// What came of pairs of create and start.
pub struct Pairs {
    /// The median of a create.
    pub create: Duration,
    /// The median of a create and its start.
    pub pair: Duration,
    /// How many pairs were made in a second.
    pub rate: f64,
}

/// Lets so many clients create and start so many containers each.
pub async fn pairs(port: u16, clients: usize, each: usize) -> Result<Pairs, Failure> {
    let mut work = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..clients {
        work.spawn(one(port, each));
    }
    let (mut creates, mut both) = (Vec::new(), Vec::new());
    while let Some(done) = work.join_next().await {
        let times = done??;
        for (create, pair) in times {
            creates.push(create);
            both.push(pair);
        }
    }
    let rate = both.len() as f64 / begin.elapsed().as_secs_f64();
    Ok(Pairs {
        create: median(creates),
        pair: median(both),
        rate,
    })
}

type Times = Vec<(Duration, Duration)>;

async fn one(port: u16, each: usize) -> Result<Times, Failure> {
    let client = Client::new(port);
    let config = r#"{"Image":"image:1","Cmd":["true"],"HostConfig":{"Memory":4194304}}"#;
    let mut times = Vec::with_capacity(each);
    for _ in 0..each {
        let number = NAMED.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-{number}");
        let path = format!("/containers/create?name={name}");
        let (created, create) = client.ask(Method::POST, &path, config).await?;
        let created: serde_json::Value = serde_json::from_slice(&created)?;
        let id = created["Id"].as_str().ok_or("a create without an id")?;
        let path = format!("/containers/{id}/start");
        let (_, start) = client.ask(Method::POST, &path, "").await?;
        times.push((create, create + start));
    }
    Ok(times)
}

/// The archive of an image that no engine has, of so many megabytes that cannot be compressed.
pub fn archive(megabytes: usize) -> Result<Bytes, Failure> {
    let mut content = vec![0; megabytes << 20];
    rand::rng().fill_bytes(&mut content);
    let architecture = Architecture::current().ok_or("no engine runs on this processor")?;
    let image = Image::of(&content, architecture, "bench")?;
    Ok(image.archive(IMAGE)?.into())
}

/// Loads an image, and tells how long that took.
pub async fn image(to: SocketAddr, archive: Bytes) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let text = asked(to, Method::POST, "/images/load", archive).await?;
    match text.contains("errorDetail") {
        true => Err(format!("load: {text}").into()),
        false => Ok(begin.elapsed()),
    }
}

/// Removes the image that was loaded.
pub async fn remove(from: SocketAddr) -> Result<(), Failure> {
    let path = format!("/images/{IMAGE}");
    asked(from, Method::DELETE, &path, Bytes::new()).await?;
    Ok(())
}

async fn asked(
    to: SocketAddr,
    method: Method,
    path: &str,
    content: Bytes,
) -> Result<String, Failure> {
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/x-tar")
        .body(Full::new(content))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let content = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&content).into_owned();
    match status.is_success() {
        true => Ok(text),
        false => Err(format!("{path}: {status}: {text}").into()),
    }
}
