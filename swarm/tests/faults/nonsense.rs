//! What no client should send, and a thousand clients that crawl.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::{Rswarm, free_port};
use crate::wire::{asked, begun, get};

/// How many clients crawl.
const SLOW: usize = 1_000;

/// How long anybody else may wait meanwhile.
const UNHURT: Duration = Duration::from_secs(10);

/// Nobody listens there: a node that never is.
const NOBODY: &str = "127.0.0.1:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_answered_and_leaves_nothing_behind() {
    let port = free_port();
    let manager = Rswarm::manage(port, &[NOBODY]).await;
    let before = manager.files();
    let head = "POST /containers/create HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\n";
    let long = "x".repeat(2 << 20);
    let many = "X-A: b\r\n".repeat(5_000);
    let cases = [
        // Heads without an end or a measure.
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "431|414|400"),
        (
            format!("GET / HTTP/1.1\r\nX-Long: {long}\r\n\r\n"),
            "431|400",
        ),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431|400"),
        ("GET / HTTP/1.1\r\nX\u{0}: a\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400|505"),
        ("GET\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".to_owned(), "400"),
        // Paths and methods that nobody serves.
        (
            "BREW /pot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
            "404|405",
        ),
        (
            "CONNECT m:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
            "404|405|400",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
            "404|405|400",
        ),
        (
            "GET http://m/nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "404",
        ),
        (
            "GET /v99999999.1/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "404",
        ),
        (
            "GET /containers/%00/json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "404",
        ),
        // Bodies that are not as they were announced.
        (format!("{head}Content-Length: -1\r\n\r\n{{}}"), "400"),
        (
            format!("{head}Content-Length: 99999999999999999999\r\n\r\n{{}}"),
            "400|413",
        ),
        (
            format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
            "400",
        ),
        (
            format!("{head}Transfer-Encoding: gzip\r\n\r\n{{}}"),
            "400|501",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
            "400",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}XX"),
            "400",
        ),
        (
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n2;{}\r\n{{}}",
                "x".repeat(1 << 20)
            ),
            "400",
        ),
        // JSON that is none, or is of other types than it should be.
        (json(head, "{\"Image\":1}"), "400|500"),
        (json(head, "{\"Labels\":[],\"HostConfig\":3}"), "400|500"),
        (
            json(
                head,
                "{\"Env\":{\"a\":1},\"HostConfig\":{\"PortBindings\":[[]]}}",
            ),
            "400|500",
        ),
        (json(head, "[\u{0}]"), "400"),
        (json(head, "\u{feff}{}"), "400|500"),
    ];
    for (request, statuses) in &cases {
        let answer = asked(port, request.as_bytes()).await;
        let shown = format!("{request:.200?} → {answer:?}");
        let is_expected = statuses
            .split('|')
            .any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(is_expected, "{shown}");
    }
    // Bytes that are no text at all, and another protocol: an end is enough.
    for byte in [0_u8, 0x16, 0x80, 0xff] {
        asked(port, &[byte; 4096]).await;
    }
    asked(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(get(port, "/_ping").await.contains("OK"));
    manager
        .until_files("nothing is left open", |files| files <= before)
        .await;
}

fn json(head: &str, body: &str) -> String {
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_that_crawl_slow_nobody_and_are_not_borne_for_ever() {
    let port = free_port();
    let manager = Rswarm::manage(port, &[NOBODY]).await;
    let before = manager.files();
    let starts: [&[u8]; 5] = [
        b"",
        b"G",
        b"GET /_ping HTTP/1.1\r\nX-Slow: ",
        b"POST /containers/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
        b"POST /containers/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n\"",
    ];
    // Each sends a byte now and then, until it is told that this was enough.
    let crawling = (0..SLOW).map(|number| {
        tokio::spawn(async move {
            let start = starts[number % starts.len()];
            let mut stream = begun(port, start).await;
            let mut answer = [0_u8; 1024];
            loop {
                let pause = tokio::time::sleep(Duration::from_millis(1500));
                tokio::select! {
                    got = stream.read(&mut answer) => if matches!(got, Ok(0) | Err(_)) {
                        return;
                    },
                    () = pause => {
                        if !start.is_empty() && stream.write_all(b"x").await.is_err() {
                            return;
                        }
                    }
                }
            }
        })
    });
    let crawling: Vec<_> = crawling.collect();
    // On a busy machine some come late.
    manager
        .until_files("most are let in", |files| files >= SLOW * 9 / 10)
        .await;
    for path in ["/_ping", "/containers/json", "/info", "/version"].repeat(5) {
        let begun = Instant::now();
        let answer = get(port, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(begun.elapsed() < UNHURT, "{path}: {:?}", begun.elapsed());
    }
    manager
        .until_files("nothing is left open", |files| files <= before)
        .await;
    // One that the manager never got to see waits for ever.
    for client in crawling {
        client.abort();
    }
}
