//! Networks: local ones belong to a node, all others to the cluster.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, read_json};
use super::create::without_node;
use super::fanout;
use super::forward::{ACTION, LOOKUP, Outgoing, WORK};
use super::merge::merge;
use super::path::encode;
use super::query::Filters;
use super::route::{Route, handler};
use super::system::text_of;
use super::{Api, ApiError, Kind, answer};
use crate::cluster::{NodeEngine, NodeObjects, Object};
use crate::json::{self, Field};
use crate::listen::Served;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::GET, "/networks", handler!(list)),
    Route::new(Method::GET, "/networks/", handler!(list)),
    Route::new(Method::POST, "/networks/create", handler!(create)),
    Route::new(Method::POST, "/networks/prune", handler!(prune)),
    Route::new(Method::POST, "/networks/{}/connect", handler!(join)),
    Route::new(Method::POST, "/networks/{}/disconnect", handler!(join)),
    Route::new(Method::GET, "/networks/{}", handler!(inspect)),
    Route::new(Method::DELETE, "/networks/{}", handler!(remove)),
];

/// The length at which clients cut ids.
const SHORT_ID: usize = 12;

const LOCAL: &str = "local";

const NAME: Field = Field {
    key: "Name",
    name: "NetworkCreateRequest.Name",
    go_type: "string",
};

const DRIVER: Field = Field {
    key: "Driver",
    name: "NetworkCreateRequest.Driver",
    go_type: "string",
};

const BUILT_IN: [&str; 3] = ["bridge", "host", "none"];

/// A network, and the nodes that know it.
struct Found {
    id: String,
    name: String,
    is_local: bool,
    /// Those that answer come first.
    nodes: Vec<NodeEngine>,
}

/// The nodes that have a network of this name for themselves, and its own name. No node is told
/// where the whole cluster has it; nothing where nobody has.
pub fn where_local(api: &Api, written: &str) -> Option<(Vec<String>, String)> {
    let lists = api.cluster().networks();
    let found = matching(&lists, written);
    let (_, first) = found.first()?;
    let name = name_of(first).to_owned();
    let is_local = found.iter().all(|(_, network)| *network.scope == *LOCAL);
    let nodes = found.iter().filter(|_| is_local);
    let nodes = nodes.map(|(node, _)| node.about.name.clone()).collect();
    Some((nodes, name))
}

async fn list(call: Call) -> Result<Served, ApiError> {
    let filters = call.query.filters()?;
    for value in filters.get("type") {
        if !matches!(value.as_str(), "builtin" | "custom") {
            return Err(ApiError::Invalid(format!(
                "Invalid filter: 'type'='{value}'"
            )));
        }
    }
    call.api.cluster().settle().await;
    let lists = call.api.cluster().networks();
    Ok(answer::json(StatusCode::OK, &listed(&lists, &filters)))
}

/// Each network once; local ones are named after their node, too.
fn listed(lists: &[NodeObjects], filters: &Filters) -> Value {
    let mut networks: BTreeMap<&str, Value> = BTreeMap::new();
    for list in lists.iter().filter(|list| list.node.is_healthy) {
        for network in list.objects.iter() {
            let is_local = *network.scope == *LOCAL;
            if networks.contains_key(&*network.id) && !is_local {
                continue;
            }
            let Ok(mut shown) = serde_json::from_str::<Value>(network.json.get()) else {
                continue;
            };
            if !is_wanted(&shown, &list.node, filters) {
                continue;
            }
            if is_local {
                let name = format!("{}/{}", list.node.about.name, name_of(network));
                json::insert(&mut shown, "Name", name);
            }
            networks.insert(&network.id, shown);
        }
    }
    networks.into_values().collect()
}

fn is_wanted(network: &Value, node: &NodeEngine, filters: &Filters) -> bool {
    filters.0.iter().all(|(key, wanted)| {
        let fits = |wanted: &String| {
            let name = text_of(&network["Name"]);
            match key.as_str() {
                "name" => {
                    let full = format!("{}/{name}", node.about.name);
                    name.contains(wanted.as_str()) || full.contains(wanted.as_str())
                }
                "id" => text_of(&network["Id"]).starts_with(wanted.as_str()),
                "driver" => network["Driver"] == **wanted,
                "scope" => network["Scope"] == **wanted,
                "node" => is_called(node, wanted),
                "type" => BUILT_IN.contains(&name) == (wanted == "builtin"),
                "label" => match wanted.split_once('=') {
                    Some((label, value)) => network["Labels"][label] == value,
                    None => network["Labels"].get(wanted).is_some(),
                },
                _ => true,
            }
        };
        match key.as_str() {
            "label" => wanted.iter().all(fits),
            _ => wanted.is_empty() || wanted.iter().any(fits),
        }
    })
}

/// What the engines say now: each that has the network tells of its own containers.
async fn inspect(call: Call) -> Result<Served, ApiError> {
    let found = call.api.network(&call.name).await?;
    let path = format!("/networks/{}", encode(&found.id));
    let query = call.query.encoded();
    let nodes = match found.is_local {
        true => found.nodes.into_iter().take(1).collect(),
        false => found.nodes,
    };
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::GET, path.clone()).query(query.as_deref());
        async move { node.json(outgoing, call.client, LOOKUP).await }
    });
    let (done, mut failed) = fanout::parted(parts.await);
    let mut done = done.into_iter().map(|(_, network)| network);
    let Some(mut network) = done.next() else {
        failed.truncate(1);
        return Err(ApiError::Nodes(failed));
    };
    for mut other in done {
        let containers = other.get_mut("Containers").map(Value::take);
        if let (Value::Object(network), Some(containers)) = (&mut network, containers) {
            let known = network.entry("Containers").or_insert(Value::Null);
            merge(known, containers);
        }
    }
    Ok(answer::json(StatusCode::OK, &network))
}

async fn create(call: Call) -> Result<Served, ApiError> {
    let mut config = read_json(call.body).await?;
    let fields = json::body(&mut config, "types.NetworkCreateRequest")?;
    let written = NAME.text(fields)?.to_owned();
    let driver = DRIVER.text(fields)?.to_owned();
    let pinned = written
        .split_once('/')
        .map(|(node, name)| (node.to_owned(), name.to_owned()));
    let node = match &pinned {
        Some((node, name)) => {
            json::insert(&mut config, "Name", name.as_str());
            let found = call.api.cluster().engine(node);
            found.ok_or_else(|| ApiError::not_found(Kind::Node, node))?
        }
        None => call.api.scheduled()?,
    };
    let node = match driver.as_str() {
        "" | "overlay" if pinned.is_none() => {
            let wide = call.api.node_with_wide_networks().await;
            match wide {
                Some((node, needs_attachable)) => {
                    json::insert(&mut config, "Driver", "overlay");
                    if needs_attachable {
                        json::insert(&mut config, "Attachable", true);
                    }
                    node
                }
                None if driver.is_empty() => {
                    json::insert(&mut config, "Driver", "bridge");
                    node
                }
                None => node,
            }
        }
        "" => {
            json::insert(&mut config, "Driver", "bridge");
            node
        }
        _ => node,
    };
    let outgoing = Outgoing::new(Method::POST, "/networks/create").json(config.to_string());
    let (status, created) = node.whole(outgoing, call.client, ACTION).await?;
    call.api.networks_changed(std::slice::from_ref(&node)).await;
    let id: Value = serde_json::from_slice(&created).unwrap_or_default();
    let lists = call.api.cluster().networks();
    let made = matching(&lists, text_of(&id["Id"]));
    if made.iter().any(|(_, network)| *network.scope != *LOCAL) {
        // Engines are not told of what another one made for all.
        call.api
            .networks_changed(&call.api.cluster().healthy())
            .await;
    }
    let mut answer = answer::raw_json(created);
    *answer.status_mut() = status;
    Ok(answer)
}

async fn remove(call: Call) -> Result<Served, ApiError> {
    let found = call.api.network(&call.name).await?;
    let path = format!("/networks/{}", encode(&found.id));
    let mut last = ApiError::not_found(Kind::Network, &call.name);
    for node in &found.nodes {
        let outgoing = Outgoing::new(Method::DELETE, path.clone());
        match node.whole(outgoing, call.client, ACTION).await {
            Ok((status, _)) => {
                call.api.networks_changed(&found.nodes).await;
                return Ok(answer::empty(status));
            }
            // Another node can remove what the whole cluster has.
            Err(error) if !found.is_local && !is_refusal(&error) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Connects a container, or disconnects it: its own engine does it, and knows neither the names of
/// nodes nor containers by their names in the cluster.
async fn join(call: Call) -> Result<Served, ApiError> {
    let mut config = read_json(call.body).await?;
    let (go_type, container) = match call.suffix {
        "/connect" => ("types.NetworkConnect", "NetworkConnect.Container"),
        _ => ("types.NetworkDisconnect", "NetworkDisconnect.Container"),
    };
    let container = Field {
        key: "Container",
        name: container,
        go_type: "string",
    };
    let fields = json::body(&mut config, go_type)?;
    let written = container.text(fields)?.to_owned();
    let lists = call.api.cluster().networks();
    let container = match call.api.container(&written) {
        Ok(container) => container,
        Err(error @ ApiError::UnhealthyNode { .. }) if config["Force"] == true => {
            let found = call.api.network(&call.name).await?;
            // Another node takes the endpoint away of a container whose node does not answer.
            let Some(node) = found.nodes.first().filter(|_| !found.is_local) else {
                return Err(error);
            };
            let path = format!("/networks/{}{}", encode(&found.id), call.suffix);
            let outgoing = Outgoing::new(Method::POST, path).json(config.to_string());
            return node.pass(outgoing, call.client, ACTION).await;
        }
        Err(error) => return Err(error),
    };
    json::insert(&mut config, "Container", &*container.id);
    let addr = &container.node.about.addr;
    let mut here = matching(&lists, &call.name).into_iter();
    let here = here.find(|(node, _)| node.about.addr == *addr);
    let network = match &here {
        Some((_, network)) => &*network.id,
        // The engine may know a network that it has not told of yet.
        None => without_node(&call.name),
    };
    let path = format!("/networks/{}{}", encode(network), call.suffix);
    let outgoing = Outgoing::new(Method::POST, path).json(config.to_string());
    let answer = container.node.pass(outgoing, call.client, ACTION).await?;
    call.api.cluster().touched(addr, &container.id);
    call.api.cluster().touched_networks(addr);
    Ok(answer)
}

async fn prune(call: Call) -> Result<Served, ApiError> {
    let nodes = call.api.healthy()?;
    let query = call.query.encoded();
    let parts = fanout::each(nodes.clone(), |node| {
        let outgoing = Outgoing::new(Method::POST, "/networks/prune").query(query.as_deref());
        async move {
            let mut pruned = node.json(outgoing, call.client, WORK).await?;
            let names = pruned.get_mut("NetworksDeleted");
            let names = names.and_then(Value::as_array_mut);
            for name in names.into_iter().flatten() {
                *name = json!(format!("{}/{}", node.about.name, text_of(name)));
            }
            Ok(pruned)
        }
    });
    let merged = fanout::merged(parts.await)?;
    call.api.networks_changed(&nodes).await;
    Ok(answer::json(StatusCode::OK, &merged))
}

impl Api {
    /// The network that a name means.
    async fn network(&self, name: &str) -> Result<Found, ApiError> {
        self.cluster().settle().await;
        let lists = self.cluster().networks();
        let found = matching(&lists, name);
        let missing = || ApiError::not_found(Kind::Network, name);
        let (_, first) = found.first().ok_or_else(missing)?;
        if found.iter().any(|(_, network)| network.id != first.id) {
            let candidates = found
                .iter()
                .map(|(node, network)| format!("{}/{}", node.about.name, name_of(network)));
            return Err(ApiError::NotFound {
                kind: Kind::Network,
                name: name.to_owned(),
                candidates: candidates.collect(),
            });
        }
        let mut nodes: Vec<_> = found.iter().map(|(node, _)| (*node).clone()).collect();
        nodes.sort_by_key(|node| !node.is_healthy);
        Ok(Found {
            id: first.id.to_string(),
            name: name_of(first).to_owned(),
            is_local: *first.scope == *LOCAL,
            nodes,
        })
        .inspect(|found| tracing::debug!("{name} is network {} ({})", found.name, found.id))
    }

    /// Lets who looks next see what has changed.
    async fn networks_changed(&self, nodes: &[NodeEngine]) {
        for node in nodes {
            self.cluster().touched_networks(&node.about.addr);
        }
        self.cluster().settle().await;
    }

    /// A node that can make networks for the whole cluster, and whether they have to be attachable:
    /// a manager of engines in swarm mode, or an engine with a store of its own for networks.
    async fn node_with_wide_networks(&self) -> Option<(NodeEngine, bool)> {
        let parts = fanout::each(self.cluster().healthy(), |node| async move {
            let outgoing = Outgoing::new(Method::GET, "/info");
            node.json(outgoing, None, LOOKUP).await
        });
        let mut with_store = None;
        for (node, info) in parts.await {
            let Ok(info) = info else { continue };
            if info["Swarm"]["ControlAvailable"] == true {
                return Some((node, true));
            }
            if !text_of(&info["ClusterStore"]).is_empty() {
                with_store.get_or_insert((node, false));
            }
        }
        with_store
    }
}

/// Whoever is meant by a name: by the id, by the name or `NODE/name`, by the beginning of an id.
fn matching<'a>(lists: &'a [NodeObjects], name: &str) -> Vec<(&'a NodeEngine, &'a Object)> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let all = || {
        lists.iter().flat_map(|list| {
            let networks = list.objects.iter();
            networks.map(move |network| (&list.node, network))
        })
    };
    let steps: [&Step<'_>; 3] = [
        &|_, network| {
            *network.id == *name || (name.len() == SHORT_ID && network.id.starts_with(name))
        },
        &|node, network| match name.split_once('/') {
            Some((of, bare)) => name_of(network) == bare && is_called(node, of),
            None => name_of(network) == name,
        },
        &|_, network| !name.is_empty() && network.id.starts_with(name),
    ];
    for step in steps {
        let found: Vec<_> = all()
            .filter(|(node, network)| step(node, network))
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

type Step<'a> = dyn Fn(&NodeEngine, &Object) -> bool + 'a;

/// Whether a node is called so: by its name, its id or its address.
pub(super) fn is_called(node: &NodeEngine, name: &str) -> bool {
    node.about.name == name || node.about.id == name || *node.about.addr == *name
}

fn name_of(network: &Object) -> &str {
    network.names.first().map_or("", |name| &**name)
}

fn is_refusal(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::Engine {
            source: rmachine_engine::EngineError::Refused { .. },
            ..
        }
    )
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

    fn cluster() -> Vec<NodeObjects> {
        let own =
            |id: &str| json!({"Name": "bridge", "Id": id, "Driver": "bridge", "Scope": "local"});
        let wide = json!({"Name": "wide", "Id": "ffff", "Driver": "overlay", "Scope": "global",
            "Labels": {"a": "b"}});
        lists(&[
            ("node-1", json!([own("aaaa"), wide])),
            ("node-2", json!([own("aabb"), wide])),
        ])
    }

    #[test]
    fn local_networks_are_named_after_their_node_and_others_listed_once() {
        let shown = |filters: &str| {
            let listed = listed(&cluster(), &Filters::parse(filters).unwrap());
            let names = listed.as_array().unwrap().iter();
            names
                .map(|network| text_of(&network["Name"]).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(""), ["node-1/bridge", "node-2/bridge", "wide"]);
        for (filters, names) in [
            (r#"{"driver":["overlay"]}"#, vec!["wide"]),
            (
                r#"{"type":["builtin"]}"#,
                vec!["node-1/bridge", "node-2/bridge"],
            ),
            (r#"{"type":["custom"]}"#, vec!["wide"]),
            (
                r#"{"node":["node-2"],"scope":["local"]}"#,
                vec!["node-2/bridge"],
            ),
            (r#"{"name":["node-1/br"]}"#, vec!["node-1/bridge"]),
            (r#"{"label":["a=b"]}"#, vec!["wide"]),
            (r#"{"id":["aab"]}"#, vec!["node-2/bridge"]),
        ] {
            assert_eq!(shown(filters), names, "{filters}");
        }
    }

    #[test]
    fn networks_are_found_by_whatever_means_them() {
        let lists = cluster();
        for (name, ids) in [
            ("node-1/bridge", vec!["aaaa"]),
            ("bridge", vec!["aaaa", "aabb"]),
            ("/wide", vec!["ffff", "ffff"]),
            ("aab", vec!["aabb"]),
            ("aa", vec!["aaaa", "aabb"]),
            ("node-3/bridge", vec![]),
            ("", vec![]),
        ] {
            let found = matching(&lists, name);
            let found: Vec<_> = found.iter().map(|(_, network)| &*network.id).collect();
            assert_eq!(found, ids, "{name}");
        }
    }
}
