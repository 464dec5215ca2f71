//! One stream of a client to all nodes: `docker load` and `docker import`.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rmachine_engine::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::answer::JSON;
use crate::api::body::ClientBody;
use crate::api::call::Call;
use crate::api::fanout;
use crate::api::forward::{Outgoing, WORK, at_end};
use crate::api::lines::{Lines, error_of};
use crate::api::system::text_of;
use crate::api::{ApiError, NodeFailure};
use crate::cluster::NodeEngine;
use crate::listen::Served;

/// How many parts of the stream a node may be behind.
const AHEAD: usize = 64;

/// How many lines of an engine's output are shown to the client.
const MOST_LINES: usize = 1000;

/// The longest line of an engine's output that is shown to the client, in characters.
const LONGEST_LINE: usize = 1024;

type Part = Result<Frame<Bytes>, std::io::Error>;

/// `docker load`.
pub(super) async fn load(call: Call) -> Result<Served, ApiError> {
    spread(call, "/images/load").await
}

/// `docker import`.
pub(super) async fn import(call: Call) -> Result<Served, ApiError> {
    spread(call, "/images/create").await
}

/// Every node gets the same stream, at the pace of the slowest that still listens: a node that
/// fails costs the others nothing.
async fn spread(call: Call, path: &'static str) -> Result<Served, ApiError> {
    let nodes = call.api.healthy()?;
    if let [node] = nodes.as_slice() {
        let (node, api, client) = (node.clone(), call.api.clone(), call.client);
        let answer = node
            .pass(call.outgoing(path.to_owned()), client, WORK)
            .await?;
        return Ok(at_end(answer, move || {
            api.cluster().touched_images(&node.about.addr);
        }));
    }
    let query = call.query.encoded();
    let mut feeds = Vec::with_capacity(nodes.len());
    let mut bodies = std::collections::HashMap::new();
    for node in &nodes {
        let (feed, body) = mpsc::channel::<Part>(AHEAD);
        feeds.push(feed);
        bodies.insert(node.about.addr.clone(), body);
    }
    let mut headers = call.headers.clone();
    headers.remove(header::CONTENT_LENGTH);
    let feeding = Feeding(tokio::spawn(feed(call.body, feeds)));
    let bodies = std::sync::Mutex::new(bodies);
    let parts = fanout::each(nodes, |node| {
        let taken = bodies
            .lock()
            .ok()
            .and_then(|mut all| all.remove(&node.about.addr));
        let outgoing = Outgoing::new(Method::POST, path).query(query.as_deref());
        let outgoing = outgoing.headers(&headers).body(body_of(taken));
        async move { one(&node, outgoing, call.client, path).await }
    });
    let parts = parts.await;
    drop(feeding);
    call.api
        .images_changed(parts.iter().map(|(node, _)| node))
        .await;
    Ok(told(parts))
}

/// Ends the feeding when nobody waits for it any more.
struct Feeding(JoinHandle<()>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn feed(mut body: ClientBody, mut feeds: Vec<mpsc::Sender<Part>>) {
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(chunk)) => {
                let mut left = Vec::with_capacity(feeds.len());
                for feed in feeds {
                    if feed.send(Ok(Frame::data(chunk.clone()))).await.is_ok() {
                        left.push(feed);
                    }
                }
                feeds = left;
                if feeds.is_empty() {
                    return;
                }
            }
            // Trailers say nothing to an engine.
            Ok(Err(_)) => {}
            Err(error) => {
                // The engines must not take a part for the whole.
                for feed in &feeds {
                    let broken = std::io::Error::other(error.to_string());
                    let _ = feed.send(Err(broken)).await;
                }
                return;
            }
        }
    }
}

fn body_of(feed: Option<mpsc::Receiver<Part>>) -> Body {
    let parts = futures_util::stream::unfold(feed, |feed| async move {
        let mut feed = feed?;
        let part = feed.recv().await?;
        Some((part, Some(feed)))
    });
    StreamBody::new(parts).boxed_unsync()
}

async fn one(
    node: &NodeEngine,
    outgoing: Outgoing,
    client: Option<rmachine_engine::ApiVersion>,
    path: &str,
) -> Result<Vec<String>, ApiError> {
    let answer = node.send(outgoing, client, WORK).await?;
    if !answer.status().is_success() {
        return Err(node.refusal(answer, path).await);
    }
    let mut lines = Lines::new(answer.into_body());
    let mut said = Vec::new();
    loop {
        let next = tokio::time::timeout(WORK, lines.next()).await;
        let next = next.unwrap_or_else(|_| Err(format!("nothing came for {WORK:?}")));
        match next.map_err(ApiError::Internal)? {
            Some(line) => match error_of(&line) {
                Some(error) => return Err(ApiError::Internal(error.to_owned())),
                None if line.get("progressDetail").is_none() && said.len() < MOST_LINES => {
                    said.push(clipped(&line));
                }
                None => {}
            },
            None => return Ok(said),
        }
    }
}

/// The text of a line of progress, cut where it is too long.
fn clipped(line: &Value) -> String {
    let text = match text_of(&line["stream"]) {
        "" => text_of(&line["status"]),
        text => text,
    };
    text.trim_end().chars().take(LONGEST_LINE).collect()
}

/// What each node said, under its name.
fn told(parts: fanout::Parts<Vec<String>>) -> Served {
    let mut lines = String::new();
    let mut add = |line: Value| {
        lines.push_str(&line.to_string());
        lines.push_str("\r\n");
    };
    for (node, part) in parts {
        let name = &node.about.name;
        match part {
            Ok(said) => {
                for line in said {
                    add(json!({"stream": format!("{name}: {line}\n")}));
                }
            }
            Err(error) => {
                let failure = NodeFailure::of(name, &error).to_string();
                add(json!({"errorDetail": {"message": failure}, "error": failure}));
            }
        }
    }
    let mut answer = Response::new(rmachine_engine::full(lines));
    *answer.status_mut() = StatusCode::OK;
    let json = HeaderValue::from_static(JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
