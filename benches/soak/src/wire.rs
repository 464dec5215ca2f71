//! Requests of clients, as bytes on a connection.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection with a request on its way.
pub async fn begin(port: u16, method: &str, path: &str, body: &str) -> io::Result<TcpStream> {
    send(port, method, path, "Connection: close\r\n", body).await
}

/// A connection that is to be given away.
pub async fn upgrade(port: u16, path: &str, body: &str) -> io::Result<TcpStream> {
    let header = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    send(port, "POST", path, header, body).await
}

/// Asks, and reads the answer: its status and its body.
pub async fn ask(port: u16, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let asking = async {
        let mut stream = begin(port, method, path, body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer: io::Result<Vec<u8>> = tokio::time::timeout(LIMIT, asking).await?;
    let answer = String::from_utf8_lossy(&answer?).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {head:?}")))?;
    Ok((status, body.to_owned()))
}

/// Reads from a stream until this was there.
pub async fn until(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
    let reading = async {
        let (mut heard, mut part) = (Vec::new(), [0; 4096]);
        while !heard.windows(text.len()).any(|window| window == text) {
            match stream.read(&mut part).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => heard.extend_from_slice(&part[..read]),
            }
        }
        Ok(())
    };
    tokio::time::timeout(LIMIT, reading).await?
}

async fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}
