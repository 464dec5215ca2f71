//! Builds, each on one node, and the sessions that belong to them.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rswarm_scheduler::Request;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::call::Call;
use super::forward::{ACTION, WORK, at_end};
use super::recent::Recent;
use super::route::{Route, handler};
use super::{Api, ApiError};
use crate::cluster::NodeEngine;
use crate::listen::Served;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::POST, "/build", handler!(build)),
    Route::new(Method::POST, "/build/cancel", handler!(cancel)),
    Route::new(Method::POST, "/build/prune", handler!(prune)),
    Route::new(Method::POST, "/session", handler!(session)),
    Route::new(Method::POST, "/grpc", handler!(grpc)),
];

/// How many builds are remembered.
const MOST: usize = 1000;

/// How long a session waits for its build, which may be bound to a node.
const COMPANION: Duration = Duration::from_secs(2);

/// How `docker build` calls the request that brings the files of another.
const UPLOAD: &str = "upload-request:";

const SESSION: &str = "x-docker-expose-session-uuid";

/// Where builds take place: by session and by build.
pub struct Builds {
    nodes: Recent<Arc<str>>,
    begun: Notify,
}

impl Default for Builds {
    fn default() -> Self {
        Self {
            nodes: Recent::new(MOST),
            begun: Notify::new(),
        }
    }
}

async fn build(mut call: Call) -> Result<Served, ApiError> {
    let mut directives = take_directives(&mut call)?;
    directives.extend(call.api.where_replaced(&call));
    let directives = json!({ "Env": directives });
    let session = call.query.text("session").to_owned();
    let id = call.query.text("buildid").to_owned();
    let own = match id.strip_prefix(UPLOAD) {
        // It may come before the build that it belongs to.
        Some(build) => call.api.companion(build).await,
        None => [&session, &id]
            .into_iter()
            .find_map(|key| call.api.remembered(key)),
    };
    let node = match own {
        Some(node) => node,
        None => call.api.scheduled_with(&directives)?,
    };
    for key in [&session, &id] {
        call.api.remember(key, &node);
    }
    let (api, client) = (call.api.clone(), call.client);
    let answer = node
        .pass(call.outgoing("/build".to_owned()), client, WORK)
        .await?;
    Ok(at_end(answer, move || {
        api.cluster().touched_images(&node.about.addr);
    }))
}

async fn cancel(call: Call) -> Result<Served, ApiError> {
    let id = call.query.text("id").to_owned();
    let node = call.api.remembered(&id);
    let node = node.ok_or_else(|| ApiError::Nothing(format!("No such build: {id}")))?;
    let client = call.client;
    node.pass(call.outgoing("/build/cancel".to_owned()), client, ACTION)
        .await
}

async fn prune(call: Call) -> Result<Served, ApiError> {
    let query = call.query.encoded();
    let parts = super::fanout::each(call.api.healthy()?, |node| {
        let outgoing = super::forward::Outgoing::new(Method::POST, "/build/prune");
        let outgoing = outgoing.query(query.as_deref());
        async move { node.json(outgoing, call.client, WORK).await }
    });
    let merged = super::fanout::merged(parts.await)?;
    Ok(super::answer::json(http::StatusCode::OK, &merged))
}

/// The session goes where its build is. One without a build belongs to a builder that speaks with
/// the engine in a stream of its own.
async fn session(call: Call) -> Result<Served, ApiError> {
    let id = call.headers.get(SESSION).and_then(|id| id.to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let node = match call.api.companion(&id).await {
        Some(node) => node,
        None => call.api.builder()?,
    };
    call.api.remember(&id, &node);
    call.splice(&node, "/session".to_owned()).await
}

async fn grpc(call: Call) -> Result<Served, ApiError> {
    let node = call.api.builder()?;
    call.splice(&node, "/grpc".to_owned()).await
}

/// `--build-arg constraint:node==a` is for the scheduler, and nothing that a build knows.
fn take_directives(call: &mut Call) -> Result<Vec<String>, ApiError> {
    let given = call.query.text("buildargs").to_owned();
    let (env, left) = parted(&given)?;
    if let Some(left) = left {
        call.query.set("buildargs", left);
    }
    Ok(env)
}

/// The directives among build arguments, and the arguments that are left if there were any.
fn parted(given: &str) -> Result<(Vec<String>, Option<String>), ApiError> {
    if given.is_empty() {
        return Ok((Vec::new(), None));
    }
    let invalid = |error: serde_json::Error| ApiError::Invalid(format!("buildargs: {error}"));
    let args: Map<String, Value> = serde_json::from_str(given).map_err(invalid)?;
    let is_directive = |key: &str| {
        let kinds = ["constraint:", "affinity:", "whitelist:"];
        kinds.iter().any(|kind| key.starts_with(kind))
    };
    let (directives, left): (Map<_, _>, Map<_, _>) =
        args.into_iter().partition(|(key, _)| is_directive(key));
    if directives.is_empty() {
        return Ok((Vec::new(), None));
    }
    // `constraint:node==a` was parted at its first `=` by the client.
    let env = directives
        .into_iter()
        .map(|(key, value)| match value.as_str() {
            Some(value) => format!("{key}={value}"),
            None => key,
        });
    Ok((env.collect(), Some(Value::Object(left).to_string())))
}

impl Api {
    /// The node that the scheduler would give a container which asks for nothing.
    pub(super) fn scheduled(&self) -> Result<NodeEngine, ApiError> {
        self.scheduled_with(&json!({}))
    }

    fn scheduled_with(&self, config: &Value) -> Result<NodeEngine, ApiError> {
        let request = Request::from_config(config);
        let request = request.map_err(|error| ApiError::Invalid(error.to_string()))?;
        let place = self
            .cluster()
            .place(request, &super::containers::random_id());
        let place = place.map_err(|error| ApiError::Unschedulable(error.to_string()))?;
        Ok(place.node().clone())
    }

    /// A build whose image takes over the name of another belongs to where that one is, if that can
    /// be: else a name would mean one image here and another there.
    fn where_replaced(&self, call: &Call) -> Vec<String> {
        let lists = self.cluster().images();
        let images = || lists.iter().flat_map(|list| list.objects.iter());
        let tags = call.query.all("t");
        let replaced = tags.filter(|tag| images().any(|image| image.is_image(tag, false)));
        let whole = |tag: &str| match tag.rsplit('/').next() {
            Some(name) if name.contains(':') => tag.to_owned(),
            _ => format!("{tag}:latest"),
        };
        replaced
            .map(|tag| format!("affinity:image==~{}", whole(tag)))
            .collect()
    }

    /// The node for builders that name no build: always the same, as long as it answers.
    fn builder(&self) -> Result<NodeEngine, ApiError> {
        let nodes = self.healthy()?.into_iter();
        let first = nodes.min_by(|a, b| a.about.addr.cmp(&b.about.addr));
        first.ok_or_else(|| ApiError::Unavailable(super::NO_NODE.to_owned()))
    }

    fn remember(&self, key: &str, node: &NodeEngine) {
        if !key.is_empty() {
            let builds = &self.inner.builds;
            builds.nodes.put(key, node.about.addr.clone());
            builds.begun.notify_waiters();
        }
    }

    fn remembered(&self, key: &str) -> Option<NodeEngine> {
        let addr = self.inner.builds.nodes.get(key)?;
        self.cluster().engine(&addr).filter(|node| node.is_healthy)
    }

    /// Where the other half of a build is, once it is there.
    async fn companion(&self, key: &str) -> Option<NodeEngine> {
        if key.is_empty() {
            return None;
        }
        let waiting = async {
            loop {
                let begun = self.inner.builds.begun.notified();
                if let Some(node) = self.remembered(key) {
                    return node;
                }
                begun.await;
            }
        };
        tokio::time::timeout(COMPANION, waiting).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_no_build_arguments() {
        for (given, env, left) in [
            ("", vec![], None),
            (r#"{"A":"b"}"#, vec![], None),
            (
                r#"{"constraint:node":"=a","A":"b","B":null}"#,
                vec!["constraint:node==a"],
                Some(r#"{"A":"b","B":null}"#),
            ),
            (
                r#"{"affinity:image!":"=~x"}"#,
                vec!["affinity:image!==~x"],
                Some("{}"),
            ),
        ] {
            let (read, rest) = parted(given).unwrap();
            assert_eq!(
                (read, rest.as_deref()),
                (env.into_iter().map(str::to_owned).collect(), left)
            );
        }
        assert!(parted("[]").is_err());
    }
}
