//! Programs that are run in containers. Only their engine knows them; which that is, is remembered.

use http::{Method, StatusCode};
use serde_json::Value;

use super::call::{Call, read_json};
use super::fanout;
use super::forward::{ACTION, LOOKUP, Outgoing};
use super::path::encode;
use super::recent::Recent;
use super::route::{Route, handler};
use super::{Api, ApiError, Kind, answer};
use crate::cluster::NodeEngine;
use crate::listen::Served;

/// How many are remembered. Of the others every engine is asked.
const MOST: usize = 10_000;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::POST, "/exec/{}/start", handler!(start)),
    Route::new(Method::GET, "/exec/{}/json", handler!(pass)),
    Route::new(Method::POST, "/exec/{}/resize", handler!(pass)),
];

/// Where the engine is that knows an id.
pub struct Execs(Recent<std::sync::Arc<str>>);

impl Default for Execs {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

pub(super) async fn create(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let config = read_json(call.body).await?;
    let path = format!("/containers/{}/exec", encode(&container.id));
    let outgoing = Outgoing::new(Method::POST, path).json(config.to_string());
    let (status, created) = container.node.whole(outgoing, call.client, ACTION).await?;
    let told: Option<Value> = serde_json::from_slice(&created).ok();
    if let Some(id) = told.as_ref().and_then(|told| told["Id"].as_str()) {
        let addr = container.node.about.addr.clone();
        call.api.inner.execs.0.put(id, addr);
    }
    let mut answer = answer::raw_json(created);
    *answer.status_mut() = status;
    Ok(answer)
}

async fn start(call: Call) -> Result<Served, ApiError> {
    let node = call.api.node_of_exec(&call.name).await?;
    let path = format!("/exec/{}/start", encode(&call.name));
    call.splice(&node, path).await
}

async fn pass(call: Call) -> Result<Served, ApiError> {
    let node = call.api.node_of_exec(&call.name).await?;
    let path = format!("/exec/{}{}", encode(&call.name), call.suffix);
    let client = call.client;
    node.pass(call.outgoing(path), client, LOOKUP).await
}

impl Api {
    /// The node whose engine knows the id. Another manager may have made it.
    async fn node_of_exec(&self, id: &str) -> Result<NodeEngine, ApiError> {
        let remembered = self.inner.execs.0.get(id);
        if let Some(node) = remembered.and_then(|addr| self.cluster().engine(&addr)) {
            return Ok(node);
        }
        let path = format!("/exec/{}/json", encode(id));
        let asked = fanout::each(self.healthy()?, |node| {
            let outgoing = Outgoing::new(Method::GET, path.clone());
            async move {
                let answer = node.send(outgoing, None, LOOKUP).await?;
                Ok(answer.status() == StatusCode::OK)
            }
        });
        let found = asked
            .await
            .into_iter()
            .find_map(|(node, knows)| knows.is_ok_and(|knows| knows).then_some(node));
        let node = found.ok_or_else(|| ApiError::not_found(Kind::Exec, id))?;
        self.inner.execs.0.put(id, node.about.addr.clone());
        Ok(node)
    }
}
