//! A request on its way through a handler.

use std::time::Duration;

use http::{HeaderMap, Method, header};
use hyper::upgrade::OnUpgrade;
use rmachine_engine::{ApiVersion, ReadError};
use serde_json::Value;

use super::body::ClientBody;
use super::forward::Outgoing;
use super::query::Query;
use super::{Api, ApiError, Kind, hijack};
use crate::cluster::ContainerRef;
use crate::listen::Served;

/// The longest JSON that a client may send.
const LONGEST_JSON: usize = 4 << 20;

/// How long a client may take to send it.
const JSON_LIMIT: Duration = Duration::from_secs(30);

/// A request.
pub struct Call {
    /// Who answers.
    pub api: Api,
    /// The version of the API that the client speaks, if it says so.
    pub client: Option<ApiVersion>,
    /// The name in the path.
    pub name: String,
    /// What follows the name in the path.
    pub suffix: &'static str,
    /// The parameters.
    pub query: Query,
    /// The method.
    pub method: Method,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: ClientBody,
    /// The connection, once it is taken over.
    pub upgrade: OnUpgrade,
}

impl Call {
    /// The container that the path names, on a node that answers.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::UnhealthyNode`].
    pub fn container(&self) -> Result<ContainerRef, ApiError> {
        self.api.container(&self.name)
    }

    /// The same request for an engine: method, parameters, headers and body.
    pub fn outgoing(self, path: String) -> Outgoing {
        Outgoing::new(self.method, path)
            .query(self.query.encoded().as_deref())
            .headers(&self.headers)
            .stream(self.body)
    }

    /// Sends the same request to a node, and gives the connection away if the client asks for it.
    ///
    /// # Errors
    /// [`ApiError::Engine`].
    pub async fn splice(
        self,
        node: &crate::cluster::NodeEngine,
        path: String,
    ) -> Result<Served, ApiError> {
        let wanted = self.headers.get(header::UPGRADE).cloned();
        let client = self.client;
        let outgoing = Outgoing::new(self.method, path)
            .query(self.query.encoded().as_deref())
            .headers(&self.headers)
            .stream(self.body);
        hijack::splice(node, outgoing, wanted, client, self.upgrade).await
    }
}

impl Api {
    /// The container of this name, on a node that answers.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::UnhealthyNode`].
    pub(super) fn container(&self, name: &str) -> Result<ContainerRef, ApiError> {
        let found = self.cluster().resolve_container(name);
        let found = found.map_err(|missing| ApiError::NotFound {
            kind: Kind::Container,
            name: name.to_owned(),
            candidates: missing.candidates,
        })?;
        match found.node.is_healthy {
            true => Ok(found),
            false => Err(ApiError::UnhealthyNode {
                kind: Kind::Container,
                name: name.to_owned(),
                node: found.node.about.name.clone(),
            }),
        }
    }
}

/// Reads a body of JSON; `null` where there is none.
///
/// # Errors
/// Every way in which a client can fail to send JSON.
pub async fn read_json(body: ClientBody) -> Result<Value, ApiError> {
    let reading = rmachine_engine::read_bounded(body, LONGEST_JSON);
    let read = tokio::time::timeout(JSON_LIMIT, reading).await;
    let read = read.map_err(|_| ApiError::TooSlow {
        seconds: JSON_LIMIT.as_secs(),
    })?;
    let content = read.map_err(|error| match error {
        ReadError::TooLong { limit } => ApiError::TooLong { limit },
        ReadError::Broken(error) => ApiError::Body(error.to_string()),
    })?;
    if content.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&content)
        .map_err(|error| ApiError::Invalid(format!("the request's body is not JSON: {error}")))
}
