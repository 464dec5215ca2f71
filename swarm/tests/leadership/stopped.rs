//! A leader that is stopped for longer than its lease, with requests in its queue.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rswarm_discovery::{DiscoveryUrl, StoreOptions, discovery};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::engine::Simulated;
use crate::process::{Rswarm, free_port};
use crate::servers::{Server, nobody};
use crate::wire::{asked, connected, get};
use crate::{LIMIT, lead};

const QUEUED: usize = 36;

fn create(name: &str) -> String {
    let body = r#"{"Image":"nginx:1"}"#;
    let length = body.len();
    format!(
        "POST /containers/create?name={name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "no end: {answer}");
    answer
}

async fn stopped_leader_executes_no_queued_create(v2: bool) {
    let Some(etcd) = Server::etcd(v2) else {
        return;
    };
    let engine = Simulated::start("node-1").await;
    let store = format!("etcd://{}/stopped", etcd.address());
    let url: DiscoveryUrl = store.parse().unwrap();
    let nodes = discovery(&url, StoreOptions::default()).unwrap();
    let hour = Duration::from_secs(3600);
    let mut rounds = nodes.register(engine.addr.parse().unwrap(), hour / 2, hour);
    rounds.next().await.unwrap().unwrap();

    let port = free_port();
    let advertise = format!("--advertise=127.0.0.1:{port}");
    let args = ["--replication", "--replication-ttl=3s", &advertise, &store];
    let manager = Rswarm::manage(port, &args).await;
    let end = Instant::now() + LIMIT;
    loop {
        let info = get(port, "/info").await;
        if info.contains(r#"["Role","primary"]"#) && info.contains("Healthy") {
            break;
        }
        assert!(Instant::now() < end, "it does not lead: {info}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The engine has no such image; that it is asked is enough.
    asked(port, create("before").as_bytes()).await;
    let before = engine.asked("/containers/create");
    assert!(before >= 1);

    // Half of the connections are accepted before the stop, half wait to be.
    let mut queued = Vec::new();
    for _ in 0..QUEUED / 2 {
        queued.push(connected(port).await);
    }
    get(port, "/_ping").await;
    manager.signal("-STOP");
    for _ in 0..QUEUED / 2 {
        queued.push(connected(port).await);
    }
    for (number, stream) in queued.iter_mut().enumerate() {
        let request = create(&format!("queued-{number}"));
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let _lead = lead(&store, &nobody()).await;
    manager.signal("-CONT");
    let answers = futures_util::future::join_all(queued.into_iter().map(answer)).await;
    for answer in answers {
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(["502", "503"].contains(&status.as_str()), "{answer}");
    }
    assert_eq!(engine.asked("/containers/create"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_leader_executes_no_queued_create_with_etcd_v2() {
    stopped_leader_executes_no_queued_create(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_leader_executes_no_queued_create_with_etcd_v3() {
    stopped_leader_executes_no_queued_create(false).await;
}
