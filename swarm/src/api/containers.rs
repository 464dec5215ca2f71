//! Containers: most of what is asked goes on to the one engine that has the container.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rmachine_engine::Body;
use serde_json::{Map, Value, json};

use super::answer::{self, JSON};
use super::call::{Call, read_json};
use super::fanout;
use super::forward::{ACTION, LOOKUP, Outgoing, PATIENT, WORK, passed};
use super::path::encode;
use super::route::{Route, handler};
use super::{ApiError, Kind};
use crate::cluster::{ContainerRef, ListQuery, NodeEngine, PlaceError, corrected};
use crate::listen::Served;

mod place;

pub use place::Provenance;
pub(super) use place::random_id;

/// The rows of this group, those that are used most first.
pub const ROUTES: &[Route] = &[
    Route::new(Method::GET, "/containers/json", handler!(list)),
    Route::new(Method::GET, "/containers/ps", handler!(list)),
    Route::new(Method::GET, "/containers/{}/json", handler!(inspect)),
    Route::new(Method::POST, "/containers/create", handler!(place::create)),
    Route::new(Method::POST, "/containers/prune", handler!(prune)),
    Route::new(Method::POST, "/containers/{}/start", handler!(start)),
    Route::new(Method::POST, "/containers/{}/wait", handler!(wait)),
    Route::new(Method::POST, "/containers/{}/attach", handler!(attach)),
    Route::new(Method::GET, "/containers/{}/attach/ws", handler!(attach)),
    Route::new(Method::GET, "/containers/{}/logs", handler!(look)),
    Route::new(Method::DELETE, "/containers/{}", handler!(remove)),
    Route::new(Method::POST, "/containers/{}/stop", handler!(act)),
    Route::new(Method::POST, "/containers/{}/kill", handler!(act)),
    Route::new(Method::POST, "/containers/{}/restart", handler!(act)),
    Route::new(
        Method::POST,
        "/containers/{}/exec",
        handler!(super::exec::create),
    ),
    Route::new(Method::POST, "/containers/{}/resize", handler!(look)),
    Route::new(Method::GET, "/containers/{}/stats", handler!(look)),
    Route::new(Method::GET, "/containers/{}/top", handler!(look)),
    Route::new(Method::HEAD, "/containers/{}/archive", handler!(look)),
    Route::new(Method::GET, "/containers/{}/archive", handler!(look)),
    Route::new(Method::PUT, "/containers/{}/archive", handler!(look)),
    Route::new(Method::POST, "/containers/{}/copy", handler!(look)),
    Route::new(Method::POST, "/containers/{}/rename", handler!(rename)),
    Route::new(Method::POST, "/containers/{}/pause", handler!(act)),
    Route::new(Method::POST, "/containers/{}/unpause", handler!(act)),
    Route::new(Method::POST, "/containers/{}/update", handler!(act)),
    Route::new(Method::GET, "/containers/{}/changes", handler!(look)),
    Route::new(Method::GET, "/containers/{}/export", handler!(look)),
    Route::new(Method::GET, "/containers/{}/checkpoints", handler!(look)),
    Route::new(Method::POST, "/containers/{}/checkpoints", handler!(look)),
];

/// What a list can be filtered by: what engines know, and the node.
const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "node",
    "publish",
    "since",
    "status",
    "volume",
];

const STATES: &[&str] = &[
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];

const HEALTHS: &[&str] = &["healthy", "none", "starting", "unhealthy"];

/// The list, from what is known, once what has just changed is known.
async fn list(call: Call) -> Result<Served, ApiError> {
    let cluster = call.api.cluster();
    let filters = call.query.filters()?;
    filters.check_keys(FILTERS)?;
    filters.check_values("status", STATES)?;
    filters.check_values("health", HEALTHS)?;
    cluster.settle().await;
    let limit: Option<i64> = call.query.number("limit")?;
    let query = ListQuery {
        all: call.query.flag("all"),
        // Some clients send -1 where they want no limit.
        limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        before: call.query.get("before").map(str::to_owned),
        since: call.query.get("since").map(str::to_owned),
        filters: filters.0,
    };
    let listing = cluster.list_containers(&query);
    let listing = listing.map_err(|missing| ApiError::NotFound {
        kind: Kind::Container,
        name: query.before.or(query.since).unwrap_or_default(),
        candidates: missing.candidates,
    })?;
    if call.query.flag("size") {
        return with_sizes(&call, listing.collect::<Vec<_>>().concat()).await;
    }
    let parts = stream::iter(listing.map(|part| Ok::<_, std::io::Error>(Frame::data(part))));
    let body: Body = StreamBody::new(parts).boxed_unsync();
    let mut answer = Response::new(body);
    let json = http::HeaderValue::from_static(JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer)
}

/// Sizes cost an engine much, and are asked only of those who have containers that are listed.
async fn with_sizes(call: &Call, list: Vec<u8>) -> Result<Served, ApiError> {
    let invalid = |error: serde_json::Error| ApiError::Internal(error.to_string());
    let mut list: Vec<Value> = serde_json::from_slice(&list).map_err(invalid)?;
    let nodes = call.api.healthy()?;
    let sizes = fanout::each(nodes, |node| async move {
        let outgoing = Outgoing::new(Method::GET, "/containers/json").query(Some("all=1&size=1"));
        node.json(outgoing, call.client, WORK).await
    });
    let mut known: std::collections::HashMap<String, [Value; 2]> = Default::default();
    for (node, part) in sizes.await {
        match part {
            Ok(Value::Array(items)) => known.extend(items.into_iter().filter_map(|item| {
                let id = item["Id"].as_str()?.to_owned();
                Some((id, [item["SizeRw"].clone(), item["SizeRootFs"].clone()]))
            })),
            Ok(_) => {}
            Err(error) => tracing::warn!("{}: {error}", node.about.name),
        }
    }
    for item in &mut list {
        let sizes = item["Id"].as_str().and_then(|id| known.remove(id));
        if let Some([rw, root_fs]) = sizes {
            item["SizeRw"] = rw;
            item["SizeRootFs"] = root_fs;
        }
    }
    Ok(answer::json(StatusCode::OK, &Value::Array(list)))
}

/// What the engine says now, with its node.
async fn inspect(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let path = format!("/containers/{}/json", container.id);
    let outgoing = Outgoing::new(Method::GET, path).query(call.query.encoded().as_deref());
    let inspected = container.node.json(outgoing, call.client, LOOKUP).await?;
    Ok(answer::json(
        StatusCode::OK,
        &with_node(inspected, &container.node),
    ))
}

/// Puts the node before the name, where it always was, and the engine's address in place of none.
fn with_node(inspected: Value, node: &NodeEngine) -> Value {
    let Value::Object(mut inspected) = inspected else {
        return inspected;
    };
    let bindings = inspected
        .get_mut("NetworkSettings")
        .and_then(|all| all.get_mut("Ports"));
    let bindings = bindings.and_then(Value::as_object_mut);
    for list in bindings.into_iter().flat_map(Map::values_mut) {
        give_address(list, &node.about.ip);
    }
    for path in [
        &["Created"][..],
        &["State", "StartedAt"],
        &["State", "FinishedAt"],
    ] {
        correct_time(&mut inspected, path, node.about.skew);
    }
    let about = &node.about;
    let shown = json!({
        "ID": about.id,
        "IP": about.ip,
        "Addr": *about.addr,
        "Name": about.name,
        "Cpus": about.cpus,
        "Memory": about.memory,
        "Labels": about.labels,
    });
    let mut whole = Map::new();
    for (key, value) in inspected {
        if key == "Name" {
            whole.insert("Node".to_owned(), shown.clone());
        }
        whole.insert(key, value);
    }
    Value::Object(whole)
}

/// A time that an engine with a wrong clock told becomes what our clock would tell.
fn correct_time(inspected: &mut Map<String, Value>, path: &[&str], skew: i64) {
    let (Some((first, rest)), true) = (path.split_first(), skew != 0) else {
        return;
    };
    let time = inspected.get_mut(*first);
    let time = rest.iter().fold(time, |value, key| {
        value.and_then(|value| value.get_mut(*key))
    });
    if let Some(Value::String(time)) = time
        && let Some(corrected) = corrected(time, skew)
    {
        *time = corrected;
    }
}

/// A port that is published on every address is reached at the engine's; modern engines tell of
/// both families.
fn give_address(bindings: &mut Value, ip: &str) {
    let Value::Array(bindings) = bindings else {
        return;
    };
    for binding in bindings.iter_mut() {
        if matches!(binding["HostIp"].as_str(), Some("0.0.0.0" | "::" | "")) {
            binding["HostIp"] = json!(ip);
        }
    }
    let mut seen = Vec::with_capacity(bindings.len());
    bindings.retain(|binding| {
        let is_new = !seen.contains(binding);
        if is_new {
            seen.push(binding.clone());
        }
        is_new
    });
}

/// Passes on what changes nothing that is listed.
async fn look(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let patience = match call.suffix {
        "/top" | "/resize" => LOOKUP,
        "/stats" | "/logs" => ACTION,
        _ => WORK,
    };
    let (client, path) = (call.client, path_of(&container, call.suffix));
    container
        .node
        .pass(call.outgoing(path), client, patience)
        .await
}

/// Passes on what changes a container.
async fn act(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let patience = match (call.suffix, call.query.number::<i64>("t")?) {
        ("/stop" | "/restart", Some(seconds)) => match u64::try_from(seconds) {
            Ok(seconds) => ACTION.saturating_add(Duration::from_secs(seconds)),
            Err(_) => PATIENT,
        },
        // How long the container itself asks for, only its engine knows.
        ("/stop" | "/restart", None) => WORK,
        _ => ACTION,
    };
    let (client, path) = (call.client, path_of(&container, call.suffix));
    let (api, addr) = (call.api.clone(), &container.node.about.addr);
    let is_to_stop = matches!(call.suffix, "/stop" | "/kill");
    let answer = container
        .node
        .pass(call.outgoing(path), client, patience)
        .await;
    if is_to_stop {
        api.cluster().is_to_stop(addr, &container.id);
    }
    api.cluster().touched(addr, &container.id);
    answer
}

/// Starts a container. Clients of 2014 send a configuration that engines no longer take here.
async fn start(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let outgoing = Outgoing::new(Method::POST, path_of(&container, "/start"));
    let outgoing = outgoing.query(call.query.encoded().as_deref());
    let answer = container.node.pass(outgoing, call.client, ACTION).await;
    call.api
        .cluster()
        .touched(&container.node.about.addr, &container.id);
    answer
}

/// The answer begins at once, where the client's version knows that, and ends with the container.
async fn wait(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let (client, path) = (call.client, path_of(&container, "/wait"));
    container
        .node
        .pass(call.outgoing(path), client, PATIENT)
        .await
}

async fn attach(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let path = path_of(&container, call.suffix);
    call.splice(&container.node, path).await
}

async fn remove(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let outgoing = Outgoing::new(Method::DELETE, path_of(&container, ""));
    let outgoing = outgoing.query(call.query.encoded().as_deref());
    let answer = container.node.send(outgoing, call.client, WORK).await?;
    let addr = &container.node.about.addr;
    match answer.status() {
        status if status.is_success() => call.api.cluster().removed(addr, &container.id),
        _ => call.api.cluster().touched(addr, &container.id),
    }
    Ok(passed(answer))
}

/// Gives a container a name that no other in the cluster has.
async fn rename(call: Call) -> Result<Served, ApiError> {
    let container = call.container()?;
    let name = call.query.text("name").trim_start_matches('/').to_owned();
    let kept = match name.is_empty() || *container.name == *name {
        // The engine has words for that.
        true => None,
        false => Some(call.api.cluster().reserve_name(&name).map_err(unplaced)?),
    };
    let outgoing = Outgoing::new(Method::POST, path_of(&container, "/rename"));
    let outgoing = outgoing.query(call.query.encoded().as_deref());
    let answer = container.node.pass(outgoing, call.client, ACTION).await?;
    // The name is the container's before it is free for others.
    let addr = &container.node.about.addr;
    call.api
        .cluster()
        .refresh_container(addr, &container.id)
        .await;
    drop(kept);
    Ok(answer)
}

async fn prune(call: Call) -> Result<Served, ApiError> {
    let nodes = call.api.healthy()?;
    let query = call.query.encoded();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::POST, "/containers/prune").query(query.as_deref());
        async move { node.json(outgoing, call.client, WORK).await }
    });
    let parts = parts.await;
    for (node, part) in &parts {
        let deleted = part
            .as_ref()
            .ok()
            .and_then(|part| part["ContainersDeleted"].as_array());
        for id in deleted.into_iter().flatten().filter_map(Value::as_str) {
            call.api.cluster().removed(&node.about.addr, id);
        }
    }
    Ok(answer::json(StatusCode::OK, &fanout::merged(parts)?))
}

fn path_of(container: &ContainerRef, suffix: &str) -> String {
    format!("/containers/{}{suffix}", encode(&container.id))
}

fn unplaced(error: PlaceError) -> ApiError {
    match error {
        PlaceError::NameTaken(_) => ApiError::Conflict(error.to_string()),
        PlaceError::Unschedulable(error) => {
            let mut sentence = error.to_string();
            for blocker in error.blockers() {
                sentence = format!("{sentence}\n{blocker}");
            }
            ApiError::Unschedulable(sentence)
        }
    }
}

/// An answer of the engine that was read, as it was.
fn as_it_was(status: StatusCode, content: Bytes) -> Served {
    let mut answer = answer::raw_json(content);
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn ports_get_the_engines_address_once() {
        let mut bindings = json!([
            {"HostIp": "0.0.0.0", "HostPort": "80"},
            {"HostIp": "::", "HostPort": "80"},
            {"HostIp": "192.168.0.1", "HostPort": "80"},
        ]);
        give_address(&mut bindings, "10.0.0.1");
        assert_eq!(
            bindings,
            json!([
                {"HostIp": "10.0.0.1", "HostPort": "80"},
                {"HostIp": "192.168.0.1", "HostPort": "80"},
            ])
        );
    }

    #[test]
    fn times_of_a_wrong_clock_are_corrected() {
        let mut node = crate::api::forward::tests::node("1.24", "1.41");
        Arc::get_mut(&mut node.about).unwrap().skew = 60;
        let inspected = json!({
            "Created": "2001-09-09T01:46:40Z",
            "State": {"StartedAt": "2001-09-09T01:47:40Z", "FinishedAt": "0001-01-01T00:00:00Z"},
        });
        assert_eq!(
            with_node(inspected, &node),
            json!({
                "Created": "2001-09-09T01:45:40Z",
                "State": {"StartedAt": "2001-09-09T01:46:40Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            })
        );
    }

    #[test]
    fn the_node_stands_before_the_name() {
        let node = crate::api::forward::tests::node("1.24", "1.41");
        let inspected = json!({
            "Id": "x", "Name": "/c1", "New": 1,
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "1"}], "81/tcp": null}},
        });
        let shown = with_node(inspected, &node);
        let keys: Vec<_> = shown.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["Id", "Node", "Name", "New", "NetworkSettings"]);
        assert_eq!(shown["Node"]["Name"], "node-1");
        assert_eq!(shown["Node"]["Addr"], "127.0.0.1:1");
        assert_eq!(
            shown["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"],
            "127.0.0.1"
        );
        assert_eq!(with_node(json!([1]), &node), json!([1]));
    }
}
