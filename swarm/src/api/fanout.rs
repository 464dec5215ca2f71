//! One request to many nodes.

use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;
use serde_json::Value;

use super::merge::merge;
use super::{ApiError, NodeFailure};
use crate::cluster::NodeEngine;

/// How many nodes are asked at a time.
const AT_A_TIME: usize = 64;

/// What each node's part came to, in the order of the nodes.
pub type Parts<T> = Vec<(NodeEngine, Result<T, ApiError>)>;

/// Asks all nodes at the same time.
pub async fn each<T, F>(nodes: Vec<NodeEngine>, ask: impl Fn(NodeEngine) -> F) -> Parts<T>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let asking = nodes.into_iter().map(|node| {
        let asked = ask(node.clone());
        async move { (node, asked.await) }
    });
    stream::iter(asking).buffered(AT_A_TIME).collect().await
}

/// What those nodes answered that did their part, and what the others said.
pub fn parted<T>(parts: Parts<T>) -> (Vec<(NodeEngine, T)>, Vec<NodeFailure>) {
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (node, part) in parts {
        match part {
            Ok(part) => done.push((node, part)),
            Err(error) => failed.push(NodeFailure::of(&node.about.name, &error)),
        }
    }
    (done, failed)
}

/// One answer of all. A node that fails is told in the log as long as another did its part: what
/// is done is done.
///
/// # Errors
/// [`ApiError::Nodes`] when no node did its part.
pub fn merged(parts: Parts<Value>) -> Result<Value, ApiError> {
    let (done, failed) = parted(parts);
    if done.is_empty() && !failed.is_empty() {
        return Err(ApiError::Nodes(failed));
    }
    for failure in failed {
        tracing::warn!("{failure}");
    }
    let mut whole = Value::Null;
    for (_, part) in done {
        merge(&mut whole, part);
    }
    Ok(whole)
}

/// Fails with what went wrong on any node; a node that has no such thing has nothing to do.
///
/// # Errors
/// [`ApiError::Nodes`].
pub fn all_done<T>(parts: Parts<T>) -> Result<Vec<(NodeEngine, T)>, ApiError> {
    let (done, mut failed) = parted(parts);
    if !done.is_empty() {
        failed.retain(|failure| failure.status != StatusCode::NOT_FOUND);
    }
    match failed.is_empty() {
        true => Ok(done),
        false => Err(ApiError::Nodes(failed)),
    }
}
