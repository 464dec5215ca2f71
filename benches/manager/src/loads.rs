//! Work for many clients, or for one with much to send.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::asks::{Client, median};

/// Numbers the containers: each has a name of its own.
static NAMED: AtomicU64 = AtomicU64::new(0);

/// How much is sent at a time.
const PART: usize = 64 * 1024;

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

/// Loads an image of so many megabytes, and tells how long that took.
pub async fn image(port: u16, megabytes: u64) -> Result<Duration, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let part = Bytes::from(vec![0; PART]);
    let parts = megabytes * 1024 * 1024 / PART as u64;
    let parts = (0..parts).map(move |_| Ok::<_, std::io::Error>(Frame::data(part.clone())));
    let request = Request::builder()
        .method(Method::POST)
        .uri("/images/load")
        .header("host", "bench")
        .header("content-type", "application/x-tar")
        .body(StreamBody::new(stream::iter(parts)))?;
    let begin = Instant::now();
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let content = answer.into_body().collect().await?.to_bytes();
    match status.is_success() {
        true => Ok(begin.elapsed()),
        false => Err(format!("load: {status}: {}", String::from_utf8_lossy(&content)).into()),
    }
}
