//! Requests byte by byte, to a manager without nodes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::manager::Manager;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// Sends what is given, and reads to the end of the connection.
async fn asked(manager: &Manager, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", manager.port))
        .await
        .unwrap();
    let sent = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(ANSWER, reading).await;
    let answer = String::from_utf8(answer).unwrap();
    // Who is refused before all is sent may find the connection broken.
    assert!(
        read.is_ok(),
        "{request:.200?} got no end: {sent:?} {answer}"
    );
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_ping_tells_what_clients_want_to_know() {
    let manager = Manager::start(&[]).await;
    for request in [
        get("/_ping"),
        get("/v1.24/_ping"),
        get("/v1.99/_ping"),
        get("/_ping").replace("GET", "HEAD"),
    ] {
        let answer = asked(&manager, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let head = head.to_lowercase();
        for header in [
            "api-version: 1.53",
            "ostype: linux",
            "docker-experimental: false",
            "builder-version: 1",
            "server: swarm/",
            "content-type: text/plain",
        ] {
            assert!(head.contains(header), "{header} is missing in {head}");
        }
        let expected = if request.starts_with("HEAD") {
            ""
        } else {
            "OK"
        };
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn every_request_has_an_answer() {
    let manager = Manager::start(&[]).await;
    let deep = "[".repeat(100_000);
    let long = "x".repeat(5 << 20);
    for (request, status, said) in [
        (get("/v1.40/containers/json"), 200, "[]\n"),
        (
            get("/containers/json?limit=-1&all=1&size=0&trunc_cmd=0"),
            200,
            "[]\n",
        ),
        (get("/containers/ps"), 200, "[]\n"),
        (get("/images/json"), 200, "[]\n"),
        (get("/networks"), 200, "[]\n"),
        (get("/volumes"), 200, "\"Volumes\":[]"),
        (get("/plugins"), 200, "[]\n"),
        (get("/version"), 200, "\"MinAPIVersion\":\"1.12\""),
        (get("/info"), 200, "[\"Nodes\",\"0\"]"),
        (get("/nowhere"), 404, "{\"message\":\"page not found\"}"),
        (get("/v1.23/nowhere"), 404, "\r\n\r\npage not found\n"),
        (
            get("/v1.23/containers/x/json"),
            404,
            "\r\n\r\nNo such container: x\n",
        ),
        (
            get("/containers/x/json"),
            404,
            "{\"message\":\"No such container: x\"}",
        ),
        (get("/images/x/json"), 404, "No such image: x"),
        (get("/networks/x"), 404, "No such network: x"),
        (get("/volumes/x"), 404, "No such volume: x"),
        (get("/exec/x/json"), 503, "No healthy node"),
        (get("/containers/%ff%fe/json"), 404, "page not found"),
        (
            get("/containers/../../etc/json"),
            404,
            "No such container: ../../etc",
        ),
        (get("/containers/json?filters=x"), 400, "invalid filter: x"),
        (get("/containers/json?limit=x"), 400, "is no number"),
        (
            get("/networks?filters={%22type%22:[%22x%22]}"),
            400,
            "Invalid filter: 'type'='x'",
        ),
        (get("/events?until=x"), 400, "is no point in time"),
        (get("/services"), 503, "not a swarm manager"),
        (post("/swarm/init", "{}"), 501, "cannot become a swarm"),
        (
            post("/images/create?fromImage=x", ""),
            503,
            "No healthy node",
        ),
        (
            post("/containers/create", "{}"),
            500,
            "No healthy node available",
        ),
        (
            post("/containers/create", ""),
            400,
            "Config cannot be empty",
        ),
        (post("/containers/create", "{"), 400, "is not JSON"),
        (post("/containers/create", &deep), 400, "is not JSON"),
        (post("/containers/create", &long), 413, "longer than"),
        (
            post("/containers/create", r#"{"Env":["constraint:node"]}"#),
            400,
            "error from constraint filter: One of operator ==, != is expected",
        ),
        (
            "POST /containers/create HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
                .to_owned(),
            400,
            "could not be read",
        ),
        ("GARBAGE\r\n\r\n".to_owned(), 400, ""),
    ] {
        let answer = asked(&manager, &request).await;
        let shown = format!("{request:.200} → {answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}");
        assert!(answer.contains(said), "{said:?} is not in {shown}");
    }
}
