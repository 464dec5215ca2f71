//! Volumes: each node has its own, often of the same name.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, read_json};
use super::containers::random_id;
use super::fanout;
use super::forward::{ACTION, LOOKUP, Outgoing, WORK};
use super::networks::is_called;
use super::path::encode;
use super::query::{Filters, Query};
use super::route::{Route, handler};
use super::system::text_of;
use super::{Api, ApiError, Kind, answer};
use crate::cluster::{NodeEngine, NodeObjects, Object};
use crate::json::{self, Field};
use crate::listen::Served;
use rswarm_scheduler::Directives;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::GET, "/volumes", handler!(list)),
    Route::new(Method::POST, "/volumes/create", handler!(create)),
    Route::new(Method::POST, "/volumes/prune", handler!(prune)),
    Route::new(Method::GET, "/volumes/{}", handler!(inspect)),
    Route::new(Method::DELETE, "/volumes/{}", handler!(remove)),
];

const LOCAL: &str = "local";

const NAME: Field = Field {
    key: "Name",
    name: "VolumeCreateBody.Name",
    go_type: "string",
};

/// The nodes to which a container with this local volume should go: those that have it, unless
/// none has, or all.
pub fn where_only(api: &Api, name: &str) -> Vec<String> {
    let lists = api.cluster().volumes();
    let healthy = lists.iter().filter(|list| list.node.is_healthy).count();
    let found = matching(&lists, name).into_iter();
    let found: Vec<_> = found
        .filter(|(node, volume)| node.is_healthy && *volume.driver == *LOCAL)
        .map(|(node, _)| node.about.name.clone())
        .collect();
    match found.len() == healthy {
        true => Vec::new(),
        false => found,
    }
}

async fn list(call: Call) -> Result<Served, ApiError> {
    let filters = call.query.filters()?;
    call.api.cluster().settle().await;
    let mut lists = call.api.cluster().volumes();
    if !filters.get("dangling").is_empty() {
        retain_dangling(&call, &filters, &mut lists).await?;
    }
    let shown = json!({"Volumes": listed(&lists, &filters), "Warnings": []});
    Ok(answer::json(StatusCode::OK, &shown))
}

/// Only engines know which volumes are used.
async fn retain_dangling(
    call: &Call,
    filters: &Filters,
    lists: &mut [NodeObjects],
) -> Result<(), ApiError> {
    let mut query = Query::default();
    let asked = json!({"dangling": filters.get("dangling")});
    query.set("filters", asked.to_string());
    let query = query.encoded();
    let parts = fanout::each(call.api.healthy()?, |node| {
        let outgoing = Outgoing::new(Method::GET, "/volumes").query(query.as_deref());
        async move { node.json(outgoing, call.client, LOOKUP).await }
    });
    let (done, failed) = fanout::parted(parts.await);
    if !failed.is_empty() {
        return Err(ApiError::Nodes(failed));
    }
    for list in lists {
        let here = done
            .iter()
            .find(|(node, _)| node.about.addr == list.node.about.addr);
        let here = here.and_then(|(_, listed)| listed["Volumes"].as_array());
        let is_wanted = |volume: &&Object| {
            let mut names = here
                .into_iter()
                .flatten()
                .map(|listed| text_of(&listed["Name"]));
            names.any(|name| name == &*volume.id)
        };
        list.objects = list.objects.iter().filter(is_wanted).cloned().collect();
    }
    Ok(())
}

/// Local volumes are named after their node, too; all others are shown once.
fn listed(lists: &[NodeObjects], filters: &Filters) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut volumes = Vec::new();
    for list in lists.iter().filter(|list| list.node.is_healthy) {
        for volume in list.objects.iter() {
            let is_local = *volume.driver == *LOCAL;
            if !is_local && !seen.insert(&*volume.id) {
                continue;
            }
            let Ok(mut shown) = serde_json::from_str::<Value>(volume.json.get()) else {
                continue;
            };
            if is_local {
                let name = format!("{}/{}", list.node.about.name, volume.id);
                json::insert(&mut shown, "Name", name);
            }
            if is_wanted(&shown, &list.node, filters) {
                volumes.push(shown);
            }
        }
    }
    volumes
}

fn is_wanted(volume: &Value, node: &NodeEngine, filters: &Filters) -> bool {
    filters.0.iter().all(|(key, wanted)| {
        let fits = |wanted: &String| match key.as_str() {
            "name" => text_of(&volume["Name"]).contains(wanted.as_str()),
            "driver" => volume["Driver"] == **wanted,
            "node" => is_called(node, wanted),
            "label" => match wanted.split_once('=') {
                Some((label, value)) => volume["Labels"][label] == value,
                None => volume["Labels"].get(wanted).is_some(),
            },
            _ => true,
        };
        match key.as_str() {
            "label" => wanted.iter().all(fits),
            _ => wanted.is_empty() || wanted.iter().any(fits),
        }
    })
}

/// What the engine says now; the first that has it, where several have one of this name.
async fn inspect(call: Call) -> Result<Served, ApiError> {
    let (node, name) = call.api.volumes(&call.name).await?.swap_remove(0);
    let path = format!("/volumes/{}", encode(&name));
    node.pass(Outgoing::new(Method::GET, path), call.client, LOOKUP)
        .await
}

/// On every node, as containers may come to any; on one for `NODE/name`, on some for a whitelist.
async fn create(call: Call) -> Result<Served, ApiError> {
    let mut config = read_json(call.body).await?;
    let fields = json::body(&mut config, "volume.VolumeCreateBody")?;
    let written = NAME.text(fields)?.to_owned();
    let mut nodes = call.api.healthy()?;
    match written.split_once('/') {
        Some((node, name)) => {
            json::insert(&mut config, "Name", name);
            nodes.retain(|healthy| is_called(healthy, node));
            if nodes.is_empty() {
                return Err(ApiError::not_found(Kind::Node, node));
            }
        }
        None => {
            let directives = Directives::read(&config);
            let directives = directives.map_err(|error| ApiError::Invalid(error.to_string()))?;
            retain_listed(&mut nodes, &directives.whitelists)?;
        }
    }
    if text_of(&config["Name"]).is_empty() {
        json::insert(&mut config, "Name", random_id());
    }
    let body = config.to_string();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::POST, "/volumes/create").json(body.clone());
        async move { node.whole(outgoing, call.client, ACTION).await }
    });
    let done = fanout::all_done(parts.await)?;
    for (node, _) in &done {
        call.api.cluster().touched_volumes(&node.about.addr);
    }
    let first = done.into_iter().next();
    let (status, created) = first.map_or((StatusCode::CREATED, "{}".into()), |(_, first)| first);
    let mut answer = answer::raw_json(created);
    *answer.status_mut() = status;
    Ok(answer)
}

/// `node==a|b` of a whitelist leaves nodes `a` and `b`.
fn retain_listed(nodes: &mut Vec<NodeEngine>, whitelists: &[String]) -> Result<(), ApiError> {
    for whitelist in whitelists {
        let listed = whitelist.split_once("==").map_or("", |(_, listed)| listed);
        nodes.retain(|node| listed.split('|').any(|name| name == node.about.name));
    }
    match nodes.is_empty() {
        true => Err(ApiError::Invalid(format!(
            "no healthy node is in the whitelist {}",
            whitelists.join(", ")
        ))),
        false => Ok(()),
    }
}

/// From all nodes that have it.
async fn remove(call: Call) -> Result<Served, ApiError> {
    let found = call.api.volumes(&call.name).await?;
    let name = found
        .first()
        .map(|(_, name)| name.clone())
        .unwrap_or_default();
    let path = format!("/volumes/{}", encode(&name));
    let query = call.query.encoded();
    let nodes: Vec<_> = found.into_iter().map(|(node, _)| node).collect();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::DELETE, path.clone()).query(query.as_deref());
        async move { node.whole(outgoing, call.client, WORK).await }
    });
    let parts = parts.await;
    for (node, _) in &parts {
        call.api.cluster().touched_volumes(&node.about.addr);
    }
    fanout::all_done(parts)?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

async fn prune(call: Call) -> Result<Served, ApiError> {
    let query = call.query.encoded();
    let parts = fanout::each(call.api.healthy()?, |node| {
        let outgoing = Outgoing::new(Method::POST, "/volumes/prune").query(query.as_deref());
        let api = call.api.clone();
        async move {
            let mut pruned = node.json(outgoing, call.client, WORK).await?;
            api.cluster().touched_volumes(&node.about.addr);
            let names = pruned.get_mut("VolumesDeleted");
            let names = names.and_then(Value::as_array_mut);
            for name in names.into_iter().flatten() {
                *name = json!(format!("{}/{}", node.about.name, text_of(name)));
            }
            Ok(pruned)
        }
    });
    Ok(answer::json(StatusCode::OK, &fanout::merged(parts.await)?))
}

impl Api {
    /// The nodes that answer and have a volume of this name, and its own name; one at least.
    async fn volumes(&self, name: &str) -> Result<Vec<(NodeEngine, String)>, ApiError> {
        self.cluster().settle().await;
        let lists = self.cluster().volumes();
        let found = matching(&lists, name);
        let healthy = found.iter().filter(|(node, _)| node.is_healthy);
        let healthy: Vec<_> = healthy
            .map(|(node, volume)| ((*node).clone(), volume.id.to_string()))
            .collect();
        match (healthy.is_empty(), found.first()) {
            (false, _) => Ok(healthy),
            (true, Some((node, _))) => Err(ApiError::UnhealthyNode {
                kind: Kind::Volume,
                name: name.to_owned(),
                node: node.about.name.clone(),
            }),
            (true, None) => Err(ApiError::not_found(Kind::Volume, name)),
        }
    }
}

fn matching<'a>(lists: &'a [NodeObjects], name: &str) -> Vec<(&'a NodeEngine, &'a Object)> {
    let (of, bare) = match name.split_once('/') {
        Some((node, bare)) => (Some(node), bare),
        None => (None, name),
    };
    let nodes = lists
        .iter()
        .filter(|list| of.is_none_or(|of| is_called(&list.node, of)));
    nodes
        .flat_map(|list| {
            let volumes = list.objects.iter().filter(|volume| *volume.id == *bare);
            volumes.map(move |volume| (&list.node, volume))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(nodes: &[(&str, Value)]) -> Vec<NodeObjects> {
        let lists = nodes.iter().map(|(name, objects)| {
            let mut node = crate::api::forward::tests::node("1.24", "1.41");
            std::sync::Arc::make_mut(&mut node.about).name = (*name).to_owned();
            let objects = objects.as_array().unwrap().iter().map(|object| {
                let name = text_of(&object["Name"]);
                let id = object["Id"].as_str().unwrap_or(name);
                Object {
                    id: id.into(),
                    names: [name.into()].into(),
                    driver: text_of(&object["Driver"]).into(),
                    scope: text_of(&object["Scope"]).into(),
                    json: serde_json::value::to_raw_value(object).unwrap(),
                }
            });
            NodeObjects {
                node,
                objects: objects.collect(),
            }
        });
        lists.collect()
    }

    #[test]
    fn local_volumes_are_named_after_their_node_and_others_listed_once() {
        let own = json!({"Name": "data", "Driver": "local", "Labels": {"a": "b"}});
        let shared = json!({"Name": "nfs", "Driver": "netshare"});
        let cluster = lists(&[
            ("node-1", json!([own, shared])),
            ("node-2", json!([own, shared])),
        ]);
        for (filters, names) in [
            ("", vec!["node-1/data", "nfs", "node-2/data"]),
            (r#"{"driver":["netshare"]}"#, vec!["nfs"]),
            (r#"{"name":["node-2/"]}"#, vec!["node-2/data"]),
            (
                r#"{"label":["a=b"],"node":["node-1"]}"#,
                vec!["node-1/data"],
            ),
        ] {
            let listed = listed(&cluster, &Filters::parse(filters).unwrap());
            let listed: Vec<_> = listed
                .iter()
                .map(|volume| text_of(&volume["Name"]))
                .collect();
            assert_eq!(listed, names, "{filters}");
        }
        assert_eq!(matching(&cluster, "data").len(), 2);
        assert_eq!(matching(&cluster, "node-2/data").len(), 1);
    }

    #[test]
    fn a_whitelist_leaves_its_nodes() {
        let cluster = lists(&[("a", json!([])), ("b", json!([])), ("c", json!([]))]);
        for (whitelists, left) in [
            (vec![], Some(3)),
            (vec!["node==a|b"], Some(2)),
            (vec!["node==a|b", "node==b"], Some(1)),
            (vec!["node==d"], None),
        ] {
            let mut nodes: Vec<_> = cluster.iter().map(|list| list.node.clone()).collect();
            let whitelists: Vec<_> = whitelists.into_iter().map(str::to_owned).collect();
            let retained = retain_listed(&mut nodes, &whitelists);
            assert_eq!(retained.ok().map(|()| nodes.len()), left, "{whitelists:?}");
        }
    }
}
