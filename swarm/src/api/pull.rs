//! Pulls: on one node for a container, on all for a client.

use http::{HeaderValue, Method};
use serde_json::Value;

use super::ApiError;
use super::forward::{Outgoing, WORK};
use super::lines::{Lines, error_of};
use super::registry_auth::REGISTRY_AUTH;
use crate::cluster::NodeEngine;

/// Pulls on one node, to the end.
///
/// # Errors
/// What the engine says, also when it says so in the middle.
pub async fn on_node(
    node: &NodeEngine,
    query: &str,
    login: Option<HeaderValue>,
    mut on_line: impl FnMut(&Value) + Send,
) -> Result<(), ApiError> {
    const PATH: &str = "/images/create";
    let mut headers = http::HeaderMap::new();
    headers.extend(login.map(|login| (REGISTRY_AUTH, login)));
    let outgoing = Outgoing::new(Method::POST, PATH)
        .query(Some(query))
        .headers(&headers);
    let answer = node.send(outgoing, None, WORK).await?;
    if !answer.status().is_success() {
        return Err(node.refusal(answer, PATH).await);
    }
    let mut lines = Lines::new(answer.into_body());
    loop {
        let next = tokio::time::timeout(WORK, lines.next()).await;
        let next = next.unwrap_or_else(|_| Err(format!("nothing came for {WORK:?}")));
        let broken = |detail: String| {
            let what = format!("{}: the pull broke off: {detail}", node.about.name);
            ApiError::Internal(what)
        };
        let Some(line) = next.map_err(broken)? else {
            return Ok(());
        };
        if let Some(error) = error_of(&line) {
            return Err(ApiError::Internal(error.to_owned()));
        }
        on_line(&line);
    }
}
