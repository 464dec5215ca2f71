//! `POST /containers/create`: a place, the image, the container.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use rmachine_engine::{ApiVersion, EngineError};
use rswarm_scheduler::{Expression, Request};
use serde_json::Value;

use super::{Call, as_it_was, read_json, unplaced};
use crate::api::create::{Blueprint, wish_for_node, without_node};
use crate::api::forward::{ACTION, Outgoing};
use crate::api::image_name::ImageName;
use crate::api::path::encode;
use crate::api::registry_auth::credentials;
use crate::api::{Api, ApiError, networks, pull, volumes};
use crate::cluster::NodeEngine;
use crate::listen::Served;

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
}

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
    };
    let mut tries = order.api.inner.settings.create_retry;
    loop {
        match order.carry_out().await.map(Created::answer) {
            Err(error)
                if tries > 0 && error.status().is_server_error() && !may_have_created(&error) =>
            {
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
        let body: Bytes = self.blueprint.body(placement.cpu_shares()).into();
        let node = placement.node().clone();
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
        Ok(Created {
            node,
            id,
            status,
            content,
        })
    }

    async fn ask(&self, node: &NodeEngine, body: Bytes) -> Result<(StatusCode, Bytes), ApiError> {
        // The pull of an image may have taken longer than the lease.
        let confirmed = self.api.lease().confirm().await;
        confirmed.map_err(|lost| ApiError::Unavailable(lost.to_string()))?;
        let outgoing = Outgoing::new(Method::POST, "/containers/create");
        let outgoing = outgoing.query(self.query.as_deref()).json(body);
        node.whole(outgoing, self.client, ACTION).await
    }

    async fn pull(&self, node: &NodeEngine) -> Result<(), ApiError> {
        let image = ImageName::read(self.blueprint.image());
        let login = credentials(&self.headers);
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

/// Whether an engine may have created the container, or may still do, although this is what came
/// of it: another attempt could make a second container of the same name. An engine that answers
/// with an error has cleaned up.
fn may_have_created(error: &ApiError) -> bool {
    match error {
        ApiError::Engine { source, .. } => match source {
            EngineError::Deadline { .. } | EngineError::Protocol { .. } => true,
            EngineError::Refused { .. }
            | EngineError::Unreachable { .. }
            | EngineError::Tls { .. }
            | EngineError::TooOld { .. }
            | EngineError::InvalidEndpoint { .. } => false,
        },
        _ => false,
    }
}

/// 64 hexadecimal digits, as engines make ids.
pub(in crate::api) fn random_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn create_is_retried_only_where_no_engine_can_have_created() {
        let endpoint = || "tcp://127.0.0.1:1".to_owned();
        for (source, expected) in [
            (
                EngineError::Deadline {
                    endpoint: endpoint(),
                    waiting_for: "/containers/create".to_owned(),
                    limit: Duration::from_secs(1),
                },
                true,
            ),
            (
                EngineError::Protocol {
                    endpoint: endpoint(),
                    detail: "connection closed".to_owned(),
                },
                true,
            ),
            (
                EngineError::Refused {
                    status: 500,
                    message: "no space left on device".to_owned(),
                    path: "/containers/create".to_owned(),
                },
                false,
            ),
            (
                EngineError::Unreachable {
                    endpoint: endpoint(),
                    source: std::io::ErrorKind::ConnectionRefused.into(),
                },
                false,
            ),
        ] {
            let error = ApiError::engine("node-1", source);
            assert_eq!(may_have_created(&error), expected, "{error}");
        }
        let unplaced = ApiError::Unschedulable("no node".to_owned());
        assert!(!may_have_created(&unplaced));
    }
}
