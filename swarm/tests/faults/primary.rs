//! A primary that is killed while it creates a container.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::engine::Dockerd;
use crate::manager::Manager;
use crate::process::{Rswarm, free_port};
use crate::servers::Server;
use crate::wire::{asked, connected, get};
use crate::{engines, with_image};

/// How long another manager may take to be the primary, with all nodes.
const TAKEN_OVER: Duration = Duration::from_secs(90);

fn create(name: &str) -> String {
    let body = r#"{"Image":"busy:1","Cmd":["sleep","600"]}"#;
    let length = body.len();
    format!(
        "POST /containers/create?name={name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// How many containers of this name the engines have.
async fn on_engines(engines: &[Dockerd], name: &str) -> usize {
    let mut found = 0;
    for engine in engines {
        let answer = get(engine.port, &format!("/containers/{name}/json")).await;
        found += usize::from(answer.starts_with("HTTP/1.1 200"));
    }
    found
}

/// Whether this manager acts for the cluster, and has both nodes.
async fn leads(port: u16) -> bool {
    let answer = get(port, "/info").await;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let info: Value = serde_json::from_str(body).unwrap_or_default();
    let status = info["SystemStatus"].to_string();
    status.contains(r#"["Role","primary"]"#) && status.matches(r#""Healthy""#).count() == 2
}

async fn until_leads(port: u16) {
    let end = Instant::now() + TAKEN_OVER;
    while !leads(port).await {
        let info = get(port, "/info").await;
        assert!(Instant::now() < end, "it is not the primary: {info}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_its_primary_does_not_live_to_see_is_done_once_or_not_at_all() {
    let Some(engines) = engines(31).await else {
        return;
    };
    let Some(etcd) = Server::etcd(true) else {
        return;
    };
    with_image(&Manager::start(&engines).await).await;
    let store = format!("etcd://{}/faults", etcd.address());
    let _agents: Vec<Rswarm> = engines
        .iter()
        .map(|engine| {
            let addr = format!("127.0.0.1:{}", engine.port);
            let join = [
                "join",
                "--advertise",
                &addr,
                "--heartbeat=2s",
                "--ttl=10s",
                &store,
            ];
            Rswarm::start(&join)
        })
        .collect();
    let start = async |port: u16| {
        let advertise = format!("--advertise=127.0.0.1:{port}");
        let options = ["--replication", "--replication-ttl=3s", "--heartbeat=2s"];
        let args = [&options[..], &[&advertise, &store]].concat();
        Rswarm::manage(port, &args).await
    };
    let (mut port, mut other_port) = (free_port(), free_port());
    let mut primary = start(port).await;
    until_leads(port).await;
    let mut other = start(other_port).await;
    // None: the engines are made to hang, so that a create is under way for certain.
    let delays = [None, Some(0), Some(5), Some(20), Some(60)];
    for (round, delay) in delays.into_iter().enumerate() {
        let name = format!("made-{round}");
        if delay.is_none() {
            engines.iter().for_each(|engine| engine.signal("-STOP"));
        }
        let mut client = connected(port).await;
        client.write_all(create(&name).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(delay.unwrap_or(500))).await;
        primary.kill();
        if delay.is_none() {
            engines.iter().for_each(|engine| engine.signal("-CONT"));
        }
        until_leads(other_port).await;
        let made = on_engines(&engines, &name).await;
        assert!(made <= 1, "{name} is there {made} times");
        let answer = asked(other_port, create(&name).as_bytes()).await;
        let status = if made == 0 { "201" } else { "409" };
        let shown = format!("{name}, there {made} times: {answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}");
        assert_eq!(on_engines(&engines, &name).await, 1, "{shown}");
        println!("{shown}");
        // The one that was killed comes back as the other's replica.
        primary = start(port).await;
        std::mem::swap(&mut primary, &mut other);
        std::mem::swap(&mut port, &mut other_port);
    }
}
