//! `POST /containers/create`: a place, the image, the container.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use rmachine_engine::{ApiVersion, EngineError};
use rswarm_scheduler::{Expression, Request, ReschedulePolicy};
use serde_json::Value;

use super::{Call, as_it_was, read_json, unplaced};
use crate::api::create::{Blueprint, wish_for_node, without_node};
use crate::api::forward::{ACTION, Outgoing};
use crate::api::image_name::ImageName;
use crate::api::path::encode;
use crate::api::{Api, ApiError, networks, pull, volumes};
use crate::cluster::NodeEngine;
use crate::listen::Served;
use crate::statement::{Predecessor, SignedRequest, Statement};

/// A container that an engine has created, with the engine's answer.
struct Created {
    node: NodeEngine,
    id: String,
    status: StatusCode,
    content: Bytes,
}

/// A container that is asked for.
struct Order {
    api: Api,
    client: Option<ApiVersion>,
    headers: HeaderMap,
    query: Option<String>,
    blueprint: Blueprint,
    request: Request,
    swarm_id: String,
    provenance: Provenance,
}

/// Where a request comes from, as the statement about the new container says it.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// Containers that it replaces, the last one first.
    pub replaces: Vec<Predecessor>,
    /// The request was derived from what an engine reported, so its content is not signed.
    pub is_unverified: bool,
}

/// Why a container that is to be rescheduled has no complete statement.
const NOT_SIGNED: &str = "the request is too large to be signed: without \
    --cluster-opt swarm.reschedule-unverified the container is rescheduled only if it requests no \
    privileges";

pub(super) async fn create(call: Call) -> Result<Served, ApiError> {
    let name = call.query.text("name").trim_start_matches('/').to_owned();
    let config = read_json(call.body).await?;
    let swarm_id = random_id();
    let mut blueprint = Blueprint::read(config, swarm_id.clone())?;
    let mut request = blueprint.request(&name)?;
    add_wishes(&call.api, &mut blueprint, &mut request);
    let order = Order {
        query: call.query.encoded(),
        api: call.api,
        client: call.client,
        headers: call.headers,
        blueprint,
        request,
        swarm_id,
        provenance: Provenance::default(),
    };
    let mut tries = order.api.inner.settings.create_retry;
    loop {
        match order.carry_out().await.map(Created::answer) {
            Err(error) if tries > 0 && error.status().is_server_error() => {
                tries -= 1;
                tracing::warn!("a container could not be created, and is tried again: {error}");
            }
            done => return done,
        }
    }
}

impl Api {
    /// Creates a container whose node is lost on another one. It keeps its name and its id within
    /// the cluster. Returns the node and the engine's id.
    ///
    /// # Errors
    /// As for a client who asks for it.
    pub async fn create_again(
        &self,
        config: Value,
        name: &str,
        swarm_id: &str,
        provenance: Provenance,
    ) -> Result<(NodeEngine, String), ApiError> {
        let mut blueprint = Blueprint::read(config, swarm_id.to_owned())?;
        let mut request = blueprint.request(name)?;
        add_wishes(self, &mut blueprint, &mut request);
        let order = Order {
            api: self.clone(),
            client: None,
            headers: HeaderMap::new(),
            query: Some(format!("name={}", encode(name))),
            blueprint,
            request,
            swarm_id: swarm_id.to_owned(),
            provenance,
        };
        let created = order.carry_out().await?;
        Ok((created.node, created.id))
    }
}

/// Networks and volumes that only some nodes have are wished for; a network's name becomes the
/// engine's own.
fn add_wishes(api: &Api, blueprint: &mut Blueprint, request: &mut Request) {
    let networks: Vec<String> = blueprint
        .networks()
        .into_iter()
        .map(str::to_owned)
        .collect();
    for written in networks {
        if let Some((nodes, name)) = networks::where_local(api, &written) {
            request.constraints.extend(wish_for_node(&nodes));
            blueprint.set_network_mode(&written, &name);
        } else {
            blueprint.set_network_mode(&written, without_node(&written));
        }
    }
    for volume in blueprint.local_volumes() {
        request
            .constraints
            .extend(wish_for_node(&volumes::where_only(api, volume)));
    }
}

impl Order {
    async fn carry_out(&self) -> Result<Created, ApiError> {
        let refused = match self.create(self.request.clone(), Missing::Pull).await {
            Err(Failure::NoImage(refused)) => refused,
            Err(Failure::Other(error)) => return Err(error),
            Ok(created) => return Ok(created),
        };
        // No registry has it, but perhaps a node.
        let image = self.blueprint.image();
        self.api.cluster().settle().await;
        let nodes = self.api.cluster().images().into_iter();
        let has_it = nodes.filter(|node| node.node.is_healthy).find_map(|node| {
            node.objects
                .iter()
                .find(|object| object.is_image(image, false))
                .cloned()
        });
        let Some(found) = has_it.filter(|_| !self.blueprint.is_pinned()) else {
            return Err(refused);
        };
        let mut request = self.request.clone();
        request
            .affinities
            .push(Expression::literal("image", &*found.id));
        match self.create(request, Missing::Tell).await {
            Ok(created) => Ok(created),
            Err(Failure::Other(error) | Failure::NoImage(error)) => Err(error),
        }
    }

    async fn create(&self, request: Request, missing: Missing) -> Result<Created, Failure> {
        let placement = self.api.cluster().place(request, &self.swarm_id);
        let placement = placement.map_err(|error| Failure::Other(unplaced(error)))?;
        let node = placement.node().clone();
        let (statement, warning) = self.statement(&node);
        let body = self
            .blueprint
            .body(placement.cpu_shares(), statement.as_deref());
        let body = Bytes::from(body);
        let first = self.ask(&node, body.clone()).await;
        let (status, content) = match first {
            Err(error) if is_image_missing(&error) => match missing {
                Missing::Tell => return Err(Failure::NoImage(error)),
                Missing::Pull => {
                    self.pull(&node).await.map_err(Failure::NoImage)?;
                    self.ask(&node, body).await.map_err(Failure::Other)?
                }
            },
            first => first.map_err(Failure::Other)?,
        };
        let created: Value = serde_json::from_slice(&content).unwrap_or_default();
        let id = created["Id"].as_str().unwrap_or_default().to_owned();
        if !id.is_empty() {
            placement.created(&id, self.blueprint.image());
        }
        let content = match warning {
            Some(warning) => with_warning(created, warning).unwrap_or(content),
            None => content,
        };
        Ok(Created {
            node,
            id,
            status,
            content,
        })
    }

    /// Signs a statement about a container that is to be rescheduled, and returns also what the
    /// client is warned of. Others have no statement: signing takes time.
    fn statement(&self, node: &NodeEngine) -> (Option<String>, Option<&'static str>) {
        if self.request.reschedule != ReschedulePolicy::OnNodeFailure {
            return (None, None);
        }
        let Some(notary) = self.api.cluster().notary() else {
            return (None, None);
        };
        let about = &node.about;
        let mut statement = Statement::new(
            notary.cluster(),
            &self.swarm_id,
            &about.id,
            &about.addr,
            &self.request.name,
        );
        statement.replaces.clone_from(&self.provenance.replaces);
        let mut warning = None;
        if !self.provenance.is_unverified {
            statement.request = SignedRequest::of(self.blueprint.canonical());
            warning = statement.request.is_none().then_some(NOT_SIGNED);
        }
        if statement.request.is_none() && statement.replaces.is_empty() {
            return (None, warning);
        }
        match notary.sign(&statement) {
            Ok(label) => (Some(label), warning),
            Err(error) => {
                tracing::warn!("cannot sign the statement about a container: {error}");
                (None, warning)
            }
        }
    }

    async fn ask(&self, node: &NodeEngine, body: Bytes) -> Result<(StatusCode, Bytes), ApiError> {
        let outgoing = Outgoing::new(Method::POST, "/containers/create");
        let outgoing = outgoing.query(self.query.as_deref()).json(body);
        node.whole(outgoing, self.client, ACTION).await
    }

    async fn pull(&self, node: &NodeEngine) -> Result<(), ApiError> {
        let image = ImageName::read(self.blueprint.image());
        let login = self.api.inner.logins.of(&image, &self.headers);
        tracing::info!("{} pulls {}", node.about.name, image.listed());
        pull::on_node(node, &image.pull_query(), login, |_| {}).await?;
        self.api.cluster().touched_images(&node.about.addr);
        Ok(())
    }
}

impl Created {
    fn answer(self) -> Served {
        as_it_was(self.status, self.content)
    }
}

/// What is done about an image that the node does not have.
enum Missing {
    Pull,
    Tell,
}

enum Failure {
    NoImage(ApiError),
    Other(ApiError),
}

/// Adds a warning to an engine's answer.
fn with_warning(mut created: Value, warning: &str) -> Option<Bytes> {
    let fields = created.as_object_mut()?;
    let mut warnings = match fields.get("Warnings") {
        Some(Value::Array(warnings)) => warnings.clone(),
        _ => Vec::new(),
    };
    warnings.push(warning.into());
    fields.insert("Warnings".to_owned(), Value::Array(warnings));
    Some(created.to_string().into())
}

fn is_image_missing(error: &ApiError) -> bool {
    match error {
        ApiError::Engine {
            source:
                EngineError::Refused {
                    status: 404,
                    message,
                    ..
                },
            ..
        } => message.to_ascii_lowercase().contains("image"),
        _ => false,
    }
}

/// 64 hexadecimal digits, as engines make ids.
pub(in crate::api) fn random_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
