//! What a web page can make a browser send to a listener without client certificates.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::process::{Rswarm, free_port};
use crate::wire::asked;

/// How long a real engine may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Nobody listens there: a node that never is.
const NOBODY: &str = "127.0.0.1:1";

/// A request with a body of two bytes, or none.
fn request(method: &str, path: &str, host: &str, headers: &str, has_body: bool) -> Vec<u8> {
    let body = if has_body {
        "Content-Length: 2\r\n\r\n{}"
    } else {
        "Content-Length: 0\r\n\r\n"
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    format!("{head}{headers}{body}").into_bytes()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

const CREATE: &str = "/containers/create";
const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

#[tokio::test]
async fn cross_site_requests_to_a_plain_manager_are_rejected() {
    let port = free_port();
    let _manager = Rswarm::manage(port, &[NOBODY]).await;
    let own = format!("127.0.0.1:{port}");
    let same_origin = format!("Origin: http://{own}\r\n{JSON}");
    let foreign = format!("Origin: http://evil.example\r\n{JSON}");
    for (method, path, host, headers, has_body, expected) in [
        // There is no node.
        ("POST", CREATE, own.as_str(), JSON, true, "500"),
        ("POST", CREATE, &own, &same_origin, true, "500"),
        ("POST", CREATE, &own, TEXT, true, "400"),
        ("POST", CREATE, &own, "", true, "400"),
        ("POST", CREATE, &own, &foreign, true, "403"),
        ("POST", CREATE, "evil.example", JSON, true, "403"),
        ("GET", "/info", "evil.example", "", false, "403"),
        ("GET", "/info", &own, "", false, "200"),
        ("POST", "/containers/x/start", &own, TEXT, false, "404"),
        ("POST", "/containers/x/start", &own, &foreign, false, "403"),
        (
            "POST",
            "/images/create?fromSrc=-&repo=x",
            &own,
            TEXT,
            true,
            "503",
        ),
    ] {
        let request = request(method, path, host, headers, has_body);
        let answer = asked(port, &request).await;
        assert_eq!(
            status(&answer),
            expected,
            "{method} {path} {host} {headers}: {answer}"
        );
    }
    let text = asked(port, &request("POST", CREATE, &own, TEXT, true)).await;
    let message =
        r#"{"message":"unsupported Content-Type header (text/plain): must be 'application/json'"}"#;
    assert!(text.ends_with(message), "{text}");
}

#[tokio::test]
async fn cors_flag_allows_other_origins_but_no_other_names() {
    let port = free_port();
    let _manager = Rswarm::manage(port, &["--api-enable-cors", NOBODY]).await;
    let foreign = format!("Origin: http://ui.example\r\n{JSON}");
    for (host, headers, expected) in [
        ("localhost", foreign.as_str(), "500"),
        ("localhost", TEXT, "400"),
        ("evil.example", foreign.as_str(), "403"),
    ] {
        let answer = asked(port, &request("POST", CREATE, host, headers, true)).await;
        assert_eq!(status(&answer), expected, "{host} {headers}: {answer}");
    }
}

#[tokio::test]
async fn cross_site_requests_to_metrics_and_discovery_are_rejected() {
    let (port, metrics, discovery) = (free_port(), free_port(), free_port());
    let metrics_addr = format!("--metrics-addr=127.0.0.1:{metrics}");
    let _manager = Rswarm::manage(port, &[&metrics_addr, NOBODY]).await;
    let host = format!("tcp://127.0.0.1:{discovery}");
    let service = Rswarm::start(&["discovery", "-H", &host]);
    service.until_listening(discovery).await;
    for (port, method, path, success) in [
        (metrics, "GET", "/metrics", "200"),
        (discovery, "POST", "/v1/clusters", "201"),
    ] {
        for (host, headers, expected) in [
            ("localhost", "", success),
            ("evil.example", "", "403"),
            ("localhost", "Origin: http://evil.example\r\n", "403"),
        ] {
            let answer = asked(port, &request(method, path, host, headers, false)).await;
            assert_eq!(
                status(&answer),
                expected,
                "{path} {host} {headers}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn plain_listener_for_other_machines_warns_and_accepts_any_name() {
    let port = free_port();
    let host = format!("tcp://0.0.0.0:{port}");
    let manager = Rswarm::start(&["manage", "-H", &host, NOBODY]);
    manager.until_listening(port).await;
    let answer = asked(port, &request("GET", "/info", "swarm.example", "", false)).await;
    assert_eq!(status(&answer), "200", "{answer}");
    let said = manager.said();
    assert!(
        said.contains("is served without TLS") && said.contains("--tlsverify"),
        "{said}"
    );
    let port = free_port();
    let manager = Rswarm::manage(port, &[NOBODY]).await;
    assert!(
        !manager.said().contains("without TLS"),
        "{}",
        manager.said()
    );
}

#[tokio::test]
async fn real_engine_has_the_same_status_for_other_types() {
    let url = std::env::var("RMACHINE_TEST_ENGINE").ok();
    let Some(socket) = url.and_then(|url| url.strip_prefix("unix://").map(str::to_owned)) else {
        println!("skipped: RMACHINE_TEST_ENGINE names no engine's socket");
        return;
    };
    let port = free_port();
    let _manager = Rswarm::manage(port, &[NOBODY]).await;
    for headers in [
        TEXT,
        "",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        for path in [CREATE, "/volumes/create", "/networks/create"] {
            let request = request("POST", path, "localhost", headers, true);
            let mut engine = UnixStream::connect(&socket).await.unwrap();
            engine.write_all(&request).await.unwrap();
            let mut theirs = String::new();
            let reading = engine.read_to_string(&mut theirs);
            tokio::time::timeout(ANSWER, reading)
                .await
                .unwrap()
                .unwrap();
            let ours = asked(port, &request).await;
            assert_eq!(
                status(&ours),
                status(&theirs),
                "{path} {headers}: {ours} {theirs}"
            );
        }
    }
}
