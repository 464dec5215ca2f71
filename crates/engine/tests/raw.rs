//! Requests passed on as they are: to servers on loopback, and to a real engine.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use rmachine_engine::{
    ApiVersion, Body, Engine, EngineEndpoint, EngineError, Upgrade, full, reader,
};
use rmachine_test_support::skip;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(20);

fn plain(listener: &TcpListener) -> Engine {
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    Engine::new(EngineEndpoint::without_tls(&url).unwrap(), LIMIT)
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(full("")).unwrap()
}

fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(full(body.to_string())).unwrap()
}

/// The head of the next request; empty at the end of the connection.
async fn head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&listener);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let seen = head(&mut stream).await;
        let answer = "HTTP/1.1 418 Short And Stout\r\nX-Odd: 1\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).await.unwrap();
        seen
    });
    let request = Request::builder()
        .method("GET")
        .uri("http://manager:3376/v1.24/containers/a%2Fb/json?x=%7B%7D")
        .header("Host", "manager:3376")
        .header("X-Registry-Auth", "e30=");
    let answer = engine.send(request.body(full("")).unwrap(), LIMIT);
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.headers()["x-odd"], "1");
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "hi");
    let seen = server.await.unwrap();
    assert!(seen.starts_with("GET /v1.24/containers/a%2Fb/json?x=%7B%7D HTTP/1.1\r\n"));
    assert!(seen.contains(&engine_host(&engine)), "{seen}");
    assert!(seen.contains("e30="), "{seen}");
}

fn engine_host(engine: &Engine) -> String {
    let url = engine.endpoint().to_string();
    format!("host: {}\r\n", url.trim_start_matches("tcp://"))
}

/// Answers with `Content-Length: 2` on each connection until its client goes; counts connections.
async fn count_connections(listener: TcpListener, connections: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            while !head(&mut stream).await.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
                stream.write_all(answer).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn connections_are_used_again_after_the_end_of_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&listener);
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn(count_connections(listener, Arc::clone(&connections)));
    for _ in 0..5 {
        let answer = engine.send(get("/x"), LIMIT).await.unwrap();
        answer.collect().await.unwrap();
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    // Two at a time need two, and what is dropped before its end is not used again.
    let (one, two) = (
        engine.send(get("/x"), LIMIT).await.unwrap(),
        engine.send(get("/x"), LIMIT).await.unwrap(),
    );
    assert_eq!(connections.load(Ordering::Relaxed), 2);
    drop((one, two));
    let answer = engine.send(get("/x"), LIMIT).await.unwrap();
    answer.collect().await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_closed_connection_is_replaced_and_the_body_sent_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&listener);
    let server = tokio::spawn(async move {
        let mut paths = Vec::new();
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = head(&mut stream).await;
            paths.push(seen.lines().next().unwrap_or_default().to_owned());
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        paths
    });
    for path in ["/1", "/2", "/3"] {
        let request = match path {
            "/2" => Request::post(path)
                .body(reader(std::io::Cursor::new("body")))
                .unwrap(),
            _ => get(path),
        };
        let answer = engine.send(request, LIMIT).await.unwrap();
        answer.collect().await.unwrap();
        // Let the end of the connection come in.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        server.await.unwrap(),
        ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1", "GET /3 HTTP/1.1"]
    );
}

#[tokio::test]
async fn who_drops_the_call_or_its_answer_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&listener);
    let (ended, mut ends) = mpsc::channel(2);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let ended = ended.clone();
            tokio::spawn(async move {
                if head(&mut stream).await.starts_with("GET /stream") {
                    let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
                    stream.write_all(begun).await.unwrap();
                }
                let read = stream.read(&mut [0]).await;
                ended.send(matches!(read, Ok(0) | Err(_))).await.unwrap();
            });
        }
    });
    let mut answer = engine.send(get("/stream"), LIMIT).await.unwrap();
    let first = answer.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "hi");
    drop(answer);
    assert!(ends.recv().await.unwrap());
    let waiting = tokio::time::timeout(
        Duration::from_millis(100),
        engine.send(get("/silent"), LIMIT),
    );
    assert!(waiting.await.is_err());
    assert!(ends.recv().await.unwrap());
}

#[tokio::test]
async fn patience_ends_and_names_the_path() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = plain(&listener);
    let answer = engine.send(get("/slow"), Duration::from_millis(50)).await;
    match answer.err() {
        Some(EngineError::Deadline { waiting_for, .. }) => assert_eq!(waiting_for, "/slow"),
        other => panic!("{other:?}"),
    }
}

/// The engine that the environment names.
fn real() -> Option<Engine> {
    let url = std::env::var("RMACHINE_TEST_ENGINE").ok();
    let found = url.and_then(|url| EngineEndpoint::without_tls(&url).ok());
    if found.is_none() {
        skip("RMACHINE_TEST_ENGINE names no engine");
    }
    found.map(|endpoint| Engine::new(endpoint, LIMIT))
}

/// A container on the real engine that runs `sh` in an image that is there; removed by `rm`.
async fn container(engine: &Engine, script: &str) -> Option<String> {
    let images = engine.call(Method::GET, "/images/json", None).await;
    let images = images.unwrap();
    let tags = images.as_array().unwrap().iter();
    let tags = tags.filter_map(|image| image["RepoTags"][0].as_str());
    let Some(image) = tags.clone().find(|tag| tag.starts_with("rmachine-lab/")) else {
        skip("the engine has no lab image");
        return None;
    };
    let config = json!({
        "Image": image, "Cmd": ["sh", "-c", script], "AttachStdin": true, "AttachStdout": true,
        "OpenStdin": true, "StdinOnce": true, "HostConfig": { "NetworkMode": "none" },
    });
    let made = engine.call(Method::POST, "/containers/create", Some(&config));
    Some(made.await.unwrap()["Id"].as_str().unwrap().to_owned())
}

async fn rm(engine: &Engine, id: &str) {
    let path = format!("/containers/{id}?force=1&v=1");
    let request = Request::delete(path).body(full("")).unwrap();
    let answer = engine.send(request, LIMIT).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_real_engine_passes_both_halves_of_an_attached_stream() {
    let Some(engine) = real() else { return };
    // Ends when its input does, so only a half-closed stream sees the count.
    let Some(id) = container(&engine, "wc -c; echo over").await else {
        return;
    };
    let attach = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1");
    let taken = engine.upgrade(post(&attach, &json!({})), LIMIT).await;
    let Upgrade::Taken(head, mut stream) = taken.unwrap() else {
        panic!("answered");
    };
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    let start = post(&format!("/containers/{id}/start"), &Value::Null);
    let started = engine.send(start, LIMIT).await.unwrap();
    assert_eq!(started.status(), StatusCode::NO_CONTENT);
    stream.write_all(&vec![b'x'; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("300000\n") && said.contains("over\n"),
        "{said:?}"
    );

    let missing = post("/containers/no-such/attach?stream=1", &json!({}));
    match engine.upgrade(missing, LIMIT).await.unwrap() {
        Upgrade::Answered(answer) => {
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            let told = answer.collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&told).contains("No such container"));
        }
        Upgrade::Taken(..) => panic!("taken"),
    }
    rm(&engine, &id).await;
}

#[tokio::test]
async fn a_real_engine_streams_both_ways() {
    let Some(engine) = real() else { return };
    let script = "while sleep 0.05; do echo tick; done";
    let Some(id) = container(&engine, script).await else {
        return;
    };
    let window = engine.api_version().await.unwrap();
    assert!(window.oldest <= ApiVersion::OLDEST && window.newest > ApiVersion::OLDEST);
    let start = format!("/v{}/containers/{id}/start", window.newest);
    engine
        .send(post(&start, &Value::Null), LIMIT)
        .await
        .unwrap();
    let logs = format!("/containers/{id}/logs?follow=1&stdout=1");
    let mut logs = engine.send(get(&logs), LIMIT).await.unwrap();
    for _ in 0..3 {
        let frame = logs.frame().await.unwrap().unwrap();
        let said = frame.into_data().unwrap();
        assert!(String::from_utf8_lossy(&said).contains("tick"));
    }
    drop(logs);
    // An archive goes up as it is made, and its length is not known before.
    let (mut into, archive): (DuplexStream, DuplexStream) = tokio::io::duplex(4096);
    let put = Request::put(format!("/containers/{id}/archive?path=/tmp"));
    let put = put.header(header::CONTENT_TYPE, "application/x-tar");
    let sending = engine.send(put.body(reader(archive)).unwrap(), LIMIT);
    let making = async {
        into.write_all(&[0; 100 * 1024]).await.unwrap();
        drop(into);
    };
    let (sent, ()) = tokio::join!(sending, making);
    assert_eq!(sent.unwrap().status(), StatusCode::OK);
    rm(&engine, &id).await;
}
