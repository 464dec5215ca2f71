//! What clients do, round after round, and how some of them end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::wire::{ask, begin, until, upgrade};

/// How many names a client uses in turn: no more containers than that stay behind.
const NAMES: u64 = 8;

/// How many of a client's rounds there are to one whose client is killed in the middle.
const KILLED: u64 = 4;

const CONTAINER: &str = r#"{"Image":"busybox:latest","Cmd":["sleep","infinity"],
    "Labels":{"tier":"soak"},"HostConfig":{"Memory":16777216}}"#;

/// How often clients did what they do.
#[derive(Default)]
pub struct Counts {
    rounds: AtomicU64,
    killed: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Rounds that were done, were broken off, and failed, as they do when an engine goes.
    pub fn now(&self) -> (u64, u64, u64) {
        let [rounds, killed, failed] =
            [&self.rounds, &self.killed, &self.failed].map(|count| count.load(Ordering::Relaxed));
        (rounds, killed, failed)
    }
}

/// A client that goes round for ever, a round in each span of time.
pub async fn client(port: u16, client: u16, pause: Duration, counts: Arc<Counts>) {
    for number in 0_u64.. {
        let begun = Instant::now();
        let name = format!("soak-{client}-{}", number % NAMES);
        let count = match number % KILLED {
            0 => {
                killed(port, &name).await;
                &counts.killed
            }
            _ => match round(port, &name, number).await {
                Ok(()) => &counts.rounds,
                Err(_) => &counts.failed,
            },
        };
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
    }
}

/// A container's life, and what is asked about it.
async fn round(port: u16, name: &str, number: u64) -> io::Result<()> {
    // What is left of a round that was broken off.
    let _ = ask(port, "DELETE", &format!("/containers/{name}?force=1"), "").await?;
    let path = format!("/v1.41/containers/create?name={name}");
    let created = good(ask(port, "POST", &path, CONTAINER).await?)?;
    let created: Value = serde_json::from_str(&created)?;
    let id = created["Id"].as_str().unwrap_or(name);
    let path = |what: &str| format!("/v1.41/containers/{id}{what}");
    good(ask(port, "POST", &path("/start"), "").await?)?;
    good(ask(port, "GET", &path("/json"), "").await?)?;
    good(ask(port, "GET", &path("/logs?stdout=1"), "").await?)?;
    exec(port, id).await?;
    let lists = [
        "/containers/json?all=1",
        "/containers/json?limit=5",
        "/containers/json?filters={%22label%22:[%22tier=soak%22]}",
        "/info",
        "/images/json",
        "/networks",
        "/events?since=0&until=1",
        "/containers/nobody/json",
    ];
    let list = lists[usize::try_from(number).unwrap_or(0) % lists.len()];
    ask(port, "GET", list, "").await?;
    good(ask(port, "POST", &path("/kill"), "").await?)?;
    good(ask(port, "DELETE", &path(""), "").await?)?;
    Ok(())
}

async fn exec(port: u16, id: &str) -> io::Result<()> {
    let path = format!("/containers/{id}/exec");
    let made = good(ask(port, "POST", &path, r#"{"Cmd":["cat"],"AttachStdin":true}"#).await?)?;
    let made: Value = serde_json::from_str(&made)?;
    let exec = made["Id"].as_str().unwrap_or_default();
    let mut stream = upgrade(port, &format!("/exec/{exec}/start"), "{}").await?;
    until(&mut stream, b"hello\n").await?;
    stream.write_all(b"echo\n").await?;
    until(&mut stream, b"echo\n").await
}

/// Clients that are gone before they have what they asked for.
async fn killed(port: u16, name: &str) {
    let running = ask(port, "GET", "/containers/json?limit=1", "").await;
    let running = running.map(|(_, body)| body).unwrap_or_default();
    let running: Value = serde_json::from_str(&running).unwrap_or_default();
    let id = running[0]["Id"].as_str().unwrap_or("nobody").to_owned();
    let create = format!("/containers/create?name={name}");
    let mut clients = Vec::new();
    for (method, path, body) in [
        ("GET", "/events", ""),
        ("GET", "/containers/json?all=1", ""),
        (
            "GET",
            &format!("/containers/{id}/logs?follow=1&stdout=1"),
            "",
        ),
        ("POST", &create, CONTAINER),
    ] {
        clients.push(begin(port, method, path, body).await);
    }
    let exec = ask(port, "POST", &format!("/containers/{id}/exec"), "{}").await;
    let exec = exec.map(|(_, body)| body).unwrap_or_default();
    let exec: Value = serde_json::from_str(&exec).unwrap_or_default();
    let exec = exec["Id"].as_str().unwrap_or("none").to_owned();
    clients.push(upgrade(port, &format!("/exec/{exec}/start"), "{}").await);
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..200))).await;
    for (number, client) in clients.into_iter().flatten().enumerate() {
        // Some end, some break.
        if number % 2 == 0 {
            let _ = client.set_zero_linger();
        }
    }
}

fn good((status, body): (u16, String)) -> io::Result<String> {
    match status {
        200..=304 => Ok(body),
        other => Err(io::Error::other(format!("{other}: {body}"))),
    }
}
