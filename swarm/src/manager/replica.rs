//! A replica: passes on to the primary what it is asked.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rmachine_engine::{Body, Engine, EngineEndpoint, EngineError, Upgrade, full};
use serde_json::json;
use tokio::sync::watch;

use super::role::Role;
use crate::cluster::EngineTls;
use crate::listen::{Served, boxed};

/// How long a connection to the primary may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the primary may think about a request: it has its own limits.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a request waits for the end of an election.
const ELECTION: Duration = Duration::from_secs(30);

/// What a replica answers itself: how it is, and how the cluster looks from here.
pub fn is_its_own(path: &str) -> bool {
    ["/_ping", "/info", "/version"]
        .iter()
        .any(|own| path.ends_with(own))
}

/// Passes requests on to whoever is the primary.
#[derive(Clone)]
pub struct Forwarder {
    tls: EngineTls,
    role: watch::Receiver<Role>,
}

impl Forwarder {
    /// Forwards to the primary that the role names.
    pub fn new(tls: EngineTls, role: watch::Receiver<Role>) -> Self {
        Self { tls, role }
    }

    /// Passes a request on as it is, raw streams included. While nobody is elected it waits for
    /// some time.
    pub async fn pass_on(&self, request: Request<Incoming>) -> Served {
        let Some(primary) = self.primary().await else {
            let role = self.role.borrow().clone();
            let why = match role {
                Role::Replica {
                    trouble: Some(trouble),
                    ..
                } => format!(": {trouble}"),
                _ => String::new(),
            };
            let message = format!("No elected primary cluster manager{why}");
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &message);
        };
        match self.forward(&primary, request).await {
            Ok(answer) => answer,
            Err(error) => {
                let message = format!(
                    "Unable to reach primary cluster manager ({}): {primary}",
                    chain(&error)
                );
                refusal(StatusCode::BAD_GATEWAY, &message)
            }
        }
    }

    async fn primary(&self) -> Option<String> {
        let mut role = self.role.clone();
        let known = role.wait_for(|role| {
            matches!(
                role,
                Role::Primary
                    | Role::Replica {
                        primary: Some(_),
                        ..
                    }
            )
        });
        match tokio::time::timeout(ELECTION, known).await {
            Ok(Ok(role)) => match &*role {
                Role::Replica { primary, .. } => primary.clone(),
                Role::Primary => None,
            },
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn forward(
        &self,
        primary: &str,
        mut request: Request<Incoming>,
    ) -> Result<Served, EngineError> {
        let primary = Engine::new(self.endpoint(primary)?, CONNECT);
        let upgrade = hyper::upgrade::on(&mut request);
        let wants_stream = request.headers().contains_key(UPGRADE);
        let request: Request<Body> =
            request.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
        if !wants_stream {
            return Ok(boxed(primary.send(request, PATIENCE).await?));
        }
        let (head, mut stream) = match primary.upgrade(request, PATIENCE).await? {
            Upgrade::Answered(answer) => return Ok(boxed(answer)),
            Upgrade::Taken(head, stream) => (head, stream),
        };
        tokio::spawn(async move {
            let spliced = match upgrade.await {
                Ok(client) => {
                    let mut client = TokioIo::new(client);
                    tokio::io::copy_bidirectional(&mut client, &mut stream).await
                }
                Err(error) => Err(std::io::Error::other(error)),
            };
            if let Err(error) = spliced {
                tracing::debug!("a stream to the primary broke: {error}");
            }
        });
        let mut answer = Response::new(full(Bytes::new()));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        let connection = HeaderValue::from_static("Upgrade");
        answer.headers_mut().insert(CONNECTION, connection);
        Ok(answer)
    }

    fn endpoint(&self, primary: &str) -> Result<EngineEndpoint, EngineError> {
        let url = format!("tcp://{primary}");
        match &self.tls {
            EngineTls::Off => EngineEndpoint::without_tls(&url),
            EngineTls::On(configs) => EngineEndpoint::tls(&url, configs.borrow().client.clone()),
        }
    }
}

pub(super) fn refusal(status: StatusCode, message: &str) -> Served {
    tracing::warn!("{message}");
    let mut answer = Response::new(full(json!({"message": message}).to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_knows_itself() {
        for path in ["/_ping", "/v1.41/_ping", "/info", "/v1.24/info", "/version"] {
            assert!(is_its_own(path), "{path}");
        }
        for path in ["/containers/json", "/v1.41/containers/info/json", "/events"] {
            assert!(!is_its_own(path), "{path}");
        }
    }
}
