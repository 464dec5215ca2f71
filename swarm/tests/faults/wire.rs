//! Requests byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

pub async fn connected(port: u16) -> TcpStream {
    let connecting = TcpStream::connect(("127.0.0.1", port));
    let connected = tokio::time::timeout(ANSWER, connecting).await;
    connected.expect("a connection in time").unwrap()
}

/// A connection that was sent this, and nothing more.
pub async fn begun(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = connected(port).await;
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Sends what is given, and reads to the end of the connection.
pub async fn asked(port: u16, request: &[u8]) -> String {
    let mut stream = connected(port).await;
    // Who is refused before all is sent may find the connection broken.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ANSWER, stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]);
    assert!(read.is_ok(), "{shown:?} got no end: {answer}");
    answer
}

/// Asks for a path as any client would; returns the answer with its head.
pub async fn get(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked(port, request.as_bytes()).await
}
