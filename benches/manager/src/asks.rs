//! One client with one connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::Failure;

/// A client that keeps its connection.
pub struct Client {
    port: u16,
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client of who listens on that port of the loopback.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            sender: Mutex::new(None),
        }
    }

    /// Asks, and returns the answer and how long it took, to its last byte.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(Bytes, Duration), Failure> {
        let mut kept = self.sender.lock().await;
        let mut sender = match kept.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "bench");
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(body.to_owned()))?;
        let begin = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let content = answer.into_body().collect().await?.to_bytes();
        let took = begin.elapsed();
        *kept = Some(sender);
        match status.is_success() || status == StatusCode::NOT_MODIFIED {
            true => Ok((content, took)),
            false => Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&content)).into()),
        }
    }

    /// Asks for something.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Duration), Failure> {
        self.ask(Method::GET, path, "").await
    }

    /// The median of asking so often, and how many bytes came.
    pub async fn medians(&self, path: &str, times: usize) -> Result<(Duration, usize), Failure> {
        let (mut all, mut size) = (Vec::with_capacity(times), 0);
        for _ in 0..times {
            let (content, took) = self.get(path).await?;
            size = content.len();
            all.push(took);
        }
        Ok((median(all), size))
    }

    /// The median of asking for each of these, up to so many.
    pub async fn medians_of(
        &self,
        paths: impl Iterator<Item = String>,
        most: usize,
    ) -> Result<Duration, Failure> {
        let mut all = Vec::new();
        for path in paths.take(most) {
            all.push(self.get(&path).await?.1);
        }
        Ok(median(all))
    }

    /// The ids of all containers.
    pub async fn container_ids(&self) -> Result<Vec<String>, Failure> {
        let (content, _) = self.get("/containers/json?all=1").await?;
        let list: Vec<serde_json::Value> = serde_json::from_slice(&content)?;
        let ids = list.iter().filter_map(|item| item["Id"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }
}

/// How much longer one takes than the other for the same, by turns, and how long that takes.
pub async fn added(
    far: &Client,
    near: &Client,
    path: &str,
    times: usize,
) -> Result<(Duration, Duration), Failure> {
    let (mut through, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..times {
        through.push(far.get(path).await?.1);
        direct.push(near.get(path).await?.1);
    }
    let (through, direct) = (median(through), median(direct));
    Ok((through.saturating_sub(direct), direct))
}

/// The one in the middle; nothing of nothing.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
