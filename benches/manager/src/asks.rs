//! One client with one connection.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
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
        let mut content = BytesMut::new();
        let took = self
            .read(method, path, body, |part| content.extend_from_slice(&part))
            .await?;
        Ok((content.freeze(), took))
    }

    /// Asks, hands on the answer part by part, and returns how long it took.
    async fn read(
        &self,
        method: Method,
        path: &str,
        body: &str,
        mut take: impl FnMut(Bytes),
    ) -> Result<Duration, Failure> {
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
        request = request.header("host", "localhost");
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(body.to_owned()))?;
        let begin = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let mut answer = answer.into_body();
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            let why = answer.collect().await?.to_bytes();
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&why)).into());
        }
        while let Some(frame) = answer.frame().await {
            frame?.into_data().into_iter().for_each(&mut take);
        }
        let took = begin.elapsed();
        *kept = Some(sender);
        Ok(took)
    }

    /// Asks for something.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Duration), Failure> {
        self.ask(Method::GET, path, "").await
    }

    /// The median of asking so often, and how many bytes came. They are not kept: that would take
    /// the client as long as the server.
    pub async fn medians(&self, path: &str, times: usize) -> Result<(Duration, usize), Failure> {
        let (mut all, mut size) = (Vec::with_capacity(times), 0);
        for _ in 0..times {
            size = 0;
            let took = self.read(Method::GET, path, "", |part| size += part.len());
            all.push(took.await?);
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
