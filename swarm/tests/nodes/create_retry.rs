//! `swarm.createretry` with engines of which it is not known whether they created the container.

use std::time::Duration;

use rswarm::api::{Api, ApiSettings, Host, Standing};
use rswarm::cluster::NodeStatus;
use rswarm::listen::{Listener, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::engine::Simulated;
use super::{LIMIT, cluster, entries, until_status};

#[tokio::test]
async fn create_is_not_retried_when_the_engine_may_have_created() {
    let engines = [Simulated::start("a").await, Simulated::start("b").await];
    let cluster = cluster();
    cluster.set_members(&entries(engines.iter().map(|engine| &engine.addr)));
    for engine in &engines {
        engine.drop_creates();
        until_status(&cluster, &engine.addr, NodeStatus::Healthy).await;
    }
    let settings = ApiSettings {
        lease: rswarm::lease::Lease::default(),
        standing: Box::new(|| Standing::Primary),
        strategy: "spread".to_owned(),
        filters: Vec::new(),
        host: Host::default(),
        create_retry: 3,
        cors: false,
        experimental: false,
    };
    let api = Api::new(cluster, settings);
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await;
    let listener = listener.unwrap();
    let port = listener.port().unwrap();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let service = move |request| api.clone().handle(request);
    tokio::spawn(serve(vec![listener], None, service, stop));

    let answer = create(port, LIMIT).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let creates: usize = engines
        .iter()
        .map(|engine| engine.asked("/containers/create"))
        .sum();
    assert_eq!(creates, 1, "{answer}");
}

async fn create(port: u16, limit: Duration) -> String {
    let body = r#"{"Image":"nginx:1"}"#;
    let request = format!(
        "POST /containers/create?name=web HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(limit, reading).await.unwrap().unwrap();
    answer
}
