//! Images: one node has what is asked for, or all are told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rmachine_engine::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::{self, JSON};
use super::call::Call;
use super::fanout;
use super::forward::{LOOKUP, Outgoing, WORK};
use super::image_name::ImageName;
use super::path::encode;
use super::registry_auth::credentials;
use super::route::{Route, handler};
use super::system::{anywhere, text_of};
use super::{Api, ApiError, Kind, pull};
use crate::cluster::{NodeEngine, Object};
use crate::listen::Served;

mod list;
mod spread;

/// The rows of this group.
pub const ROUTES: &[Route] = &[
    Route::new(Method::GET, "/images/json", handler!(list::list)),
    Route::new(Method::GET, "/images/search", handler!(search)),
    Route::new(Method::GET, "/images/get", handler!(save)),
    Route::new(Method::POST, "/images/create", handler!(create)),
    Route::new(Method::POST, "/images/load", handler!(spread::load)),
    Route::new(Method::POST, "/images/prune", handler!(prune)),
    Route::new(Method::GET, "/images/{}/json", handler!(look)),
    Route::new(Method::GET, "/images/{}/history", handler!(look)),
    Route::new(Method::GET, "/images/{}/get", handler!(look)),
    Route::new(Method::POST, "/images/{}/push", handler!(look)),
    Route::new(Method::POST, "/images/{}/tag", handler!(tag)),
    Route::new(Method::DELETE, "/images/{}", handler!(remove)),
    Route::new(Method::POST, "/commit", handler!(commit)),
    Route::new(Method::GET, "/distribution/{}/json", handler!(distribution)),
];

/// How often a pull tells how a node gets on.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Passes on to a node that has the image, under the name by which the client knows it.
async fn look(call: Call) -> Result<Served, ApiError> {
    let found = call.api.images(&call.name).await?;
    let Some((node, _)) = found.first() else {
        return Err(ApiError::not_found(Kind::Image, &call.name));
    };
    let patience = match call.suffix {
        "/json" | "/history" => LOOKUP,
        _ => WORK,
    };
    let path = format!("/images/{}{}", encode(&call.name), call.suffix);
    let client = call.client;
    node.pass(call.outgoing(path), client, patience).await
}

/// One node has to have all of them.
async fn save(call: Call) -> Result<Served, ApiError> {
    let names: Vec<String> = call.query.all("names").map(str::to_owned).collect();
    call.api.cluster().settle().await;
    let has_all = |objects: &[Object]| {
        let mut names = names.iter();
        names.all(|name| objects.iter().any(|image| image.is_image(name, false)))
    };
    let lists = call.api.cluster().images().into_iter();
    let found = lists
        .filter(|list| list.node.is_healthy)
        .find(|list| has_all(&list.objects));
    let Some(found) = found else {
        let names = names.join(" ");
        let message = format!("Unable to find a healthy engine containing all images: [{names}]");
        return Err(ApiError::Nothing(message));
    };
    let client = call.client;
    let outgoing = call.outgoing("/images/get".to_owned());
    found.node.pass(outgoing, client, WORK).await
}

async fn search(call: Call) -> Result<Served, ApiError> {
    anywhere(call, "/images/search".to_owned()).await
}

async fn distribution(call: Call) -> Result<Served, ApiError> {
    let path = format!("/distribution/{}/json", encode(&call.name));
    anywhere(call, path).await
}

/// A pull, or an import of what the client sends.
async fn create(call: Call) -> Result<Served, ApiError> {
    match call.query.text("fromSrc").is_empty() {
        true => pull_everywhere(call),
        false => spread::import(call).await,
    }
}

/// Every node that answers pulls; each tells how it gets on under its name. Nodes that fail cost
/// the others nothing, but the pull has failed.
fn pull_everywhere(call: Call) -> Result<Served, ApiError> {
    let from = call.query.text("fromImage").to_owned();
    let image = match call.query.text("tag") {
        "" => ImageName::read(&from),
        tag if tag.contains(':') => ImageName::read(&format!("{from}@{tag}")),
        tag => ImageName::read(&format!("{from}:{tag}")),
    };
    let login = credentials(&call.headers);
    let query = call.query.encoded().unwrap_or_default();
    let what = image.listed();
    let (told, mut telling) = mpsc::channel::<Value>(64);
    let nodes = call.api.healthy()?;
    let work = async move {
        let pulls = fanout::each(nodes, |node| {
            let (query, login) = (query.clone(), login.clone());
            let (told, what) = (told.clone(), what.clone());
            async move { pull_on(&node, &query, login, &what, &told).await }
        });
        for (node, _) in pulls.await {
            call.api.cluster().touched_images(&node.about.addr);
        }
    };
    // The pulls go on as long as the client listens.
    let mut work = Some(Box::pin(work));
    let lines = stream::poll_fn(move |context| {
        if let Some(pulls) = &mut work
            && pulls.as_mut().poll(context).is_ready()
        {
            work = None;
        }
        telling.poll_recv(context)
    });
    let lines = futures_util::StreamExt::map(lines, |line| {
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(format!("{line}\r\n"))))
    });
    let body: Body = StreamBody::new(lines).boxed_unsync();
    let mut answer = Response::new(body);
    let json = HeaderValue::from_static(JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer)
}

async fn pull_on(
    node: &NodeEngine,
    query: &str,
    login: Option<HeaderValue>,
    what: &str,
    told: &mpsc::Sender<Value>,
) -> Result<(), ApiError> {
    let name = node.about.name.as_str();
    let line = |status: String| json!({"id": name, "status": status});
    // Who does not listen any more has dropped all of this.
    let _ = told.send(line(format!("Pulling {what}..."))).await;
    let mut last = Instant::now();
    let pulled = pull::on_node(node, query, login, |progress| {
        let status = text_of(&progress["status"]);
        if last.elapsed() >= TELL_EVERY && !status.is_empty() {
            last = Instant::now();
            let _ = told.try_send(line(format!("Pulling {what}... : {status}")));
        }
    });
    let pulled = pulled.await;
    let end = match &pulled {
        Ok(()) => line(format!("Pulling {what}... : downloaded")),
        Err(error) => {
            let message = format!("Error pulling {what} on node {name}: {error}");
            json!({"errorDetail": {"message": message}, "error": message})
        }
    };
    let _ = told.send(end).await;
    pulled
}

/// On every node that has it.
async fn tag(call: Call) -> Result<Served, ApiError> {
    let found = call.api.images(&call.name).await?;
    let query = call.query.encoded();
    let path = format!("/images/{}/tag", encode(&call.name));
    let nodes = distinct(found).into_iter().map(|(node, _)| node).collect();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::POST, path.clone()).query(query.as_deref());
        async move { node.whole(outgoing, call.client, LOOKUP).await }
    });
    let parts = parts.await;
    call.api
        .images_changed(parts.iter().map(|(node, _)| node))
        .await;
    let done = fanout::all_done(parts)?;
    let status = done
        .first()
        .map_or(StatusCode::CREATED, |(_, (status, _))| *status);
    Ok(answer::empty(status))
}

/// From every node that has it. What a node does not remove does not keep others from it.
async fn remove(call: Call) -> Result<Served, ApiError> {
    let found = call.api.images(&call.name).await?;
    let query = call.query.encoded();
    let path = format!("/images/{}", encode(&call.name));
    let nodes = distinct(found).into_iter().map(|(node, _)| node).collect();
    let parts = fanout::each(nodes, |node| {
        let outgoing = Outgoing::new(Method::DELETE, path.clone()).query(query.as_deref());
        async move { node.json(outgoing, call.client, WORK).await }
    });
    let parts = parts.await;
    call.api
        .images_changed(parts.iter().map(|(node, _)| node))
        .await;
    let removed: Value = fanout::all_done(parts)?
        .into_iter()
        .flat_map(|(_, removed)| match removed {
            Value::Array(removed) => removed,
            _ => Vec::new(),
        })
        .collect();
    Ok(answer::json(StatusCode::OK, &removed))
}

async fn prune(call: Call) -> Result<Served, ApiError> {
    let query = call.query.encoded();
    let parts = fanout::each(call.api.healthy()?, |node| {
        let outgoing = Outgoing::new(Method::POST, "/images/prune").query(query.as_deref());
        async move { node.json(outgoing, call.client, WORK).await }
    });
    let parts = parts.await;
    call.api
        .images_changed(parts.iter().map(|(node, _)| node))
        .await;
    Ok(answer::json(StatusCode::OK, &fanout::merged(parts)?))
}

/// Makes an image of a container, where that is.
async fn commit(mut call: Call) -> Result<Served, ApiError> {
    let container = call.api.container(call.query.text("container"))?;
    call.query.set("container", &*container.id);
    let (api, client) = (call.api.clone(), call.client);
    let outgoing = call.outgoing("/commit".to_owned());
    let answer = container.node.pass(outgoing, client, WORK).await?;
    api.images_changed([&container.node]).await;
    Ok(answer)
}

impl Api {
    /// The nodes that answer and have an image of this name, and which it is there; one at least.
    async fn images(&self, name: &str) -> Result<Vec<(NodeEngine, Object)>, ApiError> {
        self.cluster().settle().await;
        let lists = self.cluster().images();
        let found = |is_healthy: bool| {
            let lists = lists
                .iter()
                .filter(move |list| list.node.is_healthy == is_healthy);
            lists.flat_map(|list| {
                let images = list
                    .objects
                    .iter()
                    .filter(|image| image.is_image(name, false));
                images.map(|image| (list.node.clone(), image.clone()))
            })
        };
        let healthy: Vec<_> = found(true).collect();
        match (healthy.is_empty(), found(false).next()) {
            (false, _) => Ok(healthy),
            (true, Some((node, _))) => Err(ApiError::UnhealthyNode {
                kind: Kind::Image,
                name: name.to_owned(),
                node: node.about.name.clone(),
            }),
            (true, None) => Err(ApiError::not_found(Kind::Image, name)),
        }
    }

    /// Lets who looks next see what has changed.
    pub(super) async fn images_changed<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeEngine>) {
        for node in nodes {
            self.cluster().touched_images(&node.about.addr);
        }
        self.cluster().settle().await;
    }
}

/// Each node once.
fn distinct(mut found: Vec<(NodeEngine, Object)>) -> Vec<(NodeEngine, Object)> {
    let mut seen = BTreeSet::new();
    found.retain(|(node, _)| seen.insert(node.about.addr.clone()));
    found
}
