//! The cluster as a whole: signs of life, versions, `docker info`, logins, disk usage.

use std::sync::PoisonError;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, read_json};
use super::fanout;
use super::forward::{ACTION, LOOKUP, Outgoing, WORK};
use super::info::{self, ManagerReport};
use super::merge::name_nodes;
use super::route::{Route, handler};
use super::{Api, ApiError, Standing, answer};
use crate::listen::Served;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::HEAD, "/_ping", handler!(ping)),
    Route::new(Method::GET, "/_ping", handler!(ping)),
    Route::new(Method::GET, "/version", handler!(version)),
    Route::new(Method::GET, "/info", handler!(info)),
    Route::new(Method::POST, "/auth", handler!(auth)),
    Route::new(Method::GET, "/system/df", handler!(disk_usage)),
    Route::new(Method::GET, "/plugins", handler!(plugins)),
    Route::new(Method::GET, "/plugins/{}/json", handler!(plugin)),
];

async fn ping(call: Call) -> Result<Served, ApiError> {
    let mut answer = answer::text("OK");
    let headers = answer.headers_mut();
    for (name, value) in [
        ("builder-version", "1"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("swarm", "inactive"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    drop(call);
    Ok(answer)
}

async fn version(call: Call) -> Result<Served, ApiError> {
    let version = info::version(&call.api.report(), call.api.window());
    Ok(answer::json(StatusCode::OK, &version))
}

async fn info(call: Call) -> Result<Served, ApiError> {
    let api = &call.api;
    let nodes = api.cluster().nodes();
    let mut tree = api
        .inner
        .tree
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let content = tree
        .update(nodes)
        .and_then(|()| info::info(&api.report(), tree.sums(), tree.nodes()));
    drop(tree);
    let content = content.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(answer::raw_json(content))
}

/// Any engine can ask a registry whether it takes a login, which is remembered if so.
async fn auth(call: Call) -> Result<Served, ApiError> {
    let login = read_json(call.body).await?;
    let outgoing = Outgoing::new(Method::POST, "/auth").json(login.to_string());
    let answer = call
        .api
        .any_node()?
        .pass(outgoing, call.client, ACTION)
        .await?;
    if answer.status().is_success() {
        call.api.inner.logins.accepted(&login);
    }
    Ok(answer)
}

async fn disk_usage(call: Call) -> Result<Served, ApiError> {
    let nodes = call.api.healthy()?;
    let query = call.query.encoded();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::GET, "/system/df").query(query.as_deref());
        async move {
            let mut usage = node.json(outgoing, call.client, WORK).await?;
            name_nodes(&mut usage, &node.about.name);
            Ok(usage)
        }
    });
    Ok(answer::json(StatusCode::OK, &fanout::merged(parts.await)?))
}

/// Plugins belong to engines; the cluster itself has none.
async fn plugins(_: Call) -> Result<Served, ApiError> {
    Ok(answer::json(StatusCode::OK, &json!([])))
}

/// Who looks for something of any kind looks among the plugins, too.
async fn plugin(call: Call) -> Result<Served, ApiError> {
    let missing = format!("plugin \"{}\" not found", call.name);
    Err(ApiError::Nothing(missing))
}

/// Passes a request on to any engine.
pub(super) async fn anywhere(call: Call, path: String) -> Result<Served, ApiError> {
    let node = call.api.any_node()?;
    let client = call.client;
    node.pass(call.outgoing(path), client, LOOKUP).await
}

impl Api {
    fn report(&self) -> ManagerReport {
        let settings = &self.inner.settings;
        let (role, primary) = match (settings.standing)() {
            Standing::Primary => ("primary", None),
            Standing::Replica { primary } => ("replica", primary),
        };
        let cluster = self.cluster();
        ManagerReport {
            rescheduling: info::rescheduling(
                &cluster.reschedule_status(),
                cluster.notary().is_some(),
                cluster.reschedule_settings().allow_unverified,
            ),
            role,
            primary,
            strategy: settings.strategy.clone(),
            filters: settings.filters.clone(),
            host: settings.host.clone(),
            experimental: settings.experimental,
        }
    }
}

/// The value as text, where it is one.
pub(super) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
