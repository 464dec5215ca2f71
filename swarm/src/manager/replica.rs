//! A replica: forwards requests to the primary.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rmachine_engine::{Body, Engine, EngineEndpoint, EngineError, Upgrade, full};
use serde_json::json;
use tokio::sync::watch;

use super::role::Role;
use crate::api::{end_to_end, split_version};
use crate::cluster::EngineTls;
use crate::lease::Lease;
use crate::listen::{Served, boxed};

/// Timeout of a connection to the primary.
const CONNECT: Duration = Duration::from_secs(10);

/// Timeout of the primary's response: it has its own timeouts.
const RESPONSE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Timeout of a request that waits for the end of an election.
const ELECTION: Duration = Duration::from_secs(30);

/// Interval at which a waiting request looks at a lease that has lapsed.
const RECHECK: Duration = Duration::from_millis(100);

/// Marks a request that a replica has forwarded: only a primary accepts it.
const FORWARDED: HeaderName = HeaderName::from_static("x-rswarm-forwarded");

/// True for requests that a replica answers itself: how it is, and how it sees the cluster.
pub fn is_its_own(method: &Method, path: &str) -> bool {
    let (_, path) = split_version(path);
    match *method {
        Method::GET => matches!(path, "/_ping" | "/info" | "/version"),
        Method::HEAD => path == "/_ping",
        _ => false,
    }
}

/// The manager that has to answer a request.
enum Leader {
    Own,
    Other(String),
    Unknown,
}

/// Forwards requests to the primary.
#[derive(Clone)]
pub struct Forwarder {
    tls: EngineTls,
    role: watch::Receiver<Role>,
    lease: Lease,
}

impl Forwarder {
    /// Forwards to the primary that the role names.
    pub fn new(tls: EngineTls, role: watch::Receiver<Role>, lease: Lease) -> Self {
        Self { tls, role, lease }
    }

    /// True if this manager is the primary, and its lease has not lapsed.
    pub fn is_primary(&self) -> bool {
        *self.role.borrow() == Role::Primary && self.lease.is_held()
    }

    /// Forwards a request, raw streams included; waits for the end of an election for some time.
    /// Gives a request back that has become this manager's own meanwhile.
    pub async fn forward(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Served, Request<Incoming>> {
        let primary = match self.leader().await {
            Leader::Own => return Err(request),
            Leader::Other(primary) => primary,
            Leader::Unknown => {
                let role = self.role.borrow().clone();
                let why = match role {
                    Role::Replica {
                        trouble: Some(trouble),
                        ..
                    } => format!(": {trouble}"),
                    _ => String::new(),
                };
                let message = format!("No elected primary cluster manager{why}");
                return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, &message));
            }
        };
        if request.headers().contains_key(FORWARDED) {
            let message = format!(
                "the leader address {primary} leads to a replica: the --advertise address of the \
                 primary must reach the primary itself"
            );
            return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, &message));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let sent = self.send(&primary, prepared(request), upgrade).await;
        Ok(sent.unwrap_or_else(|error| {
            let message = format!(
                "Unable to reach primary cluster manager ({}): {primary}",
                chain(&error)
            );
            refusal(StatusCode::BAD_GATEWAY, &message)
        }))
    }

    async fn leader(&self) -> Leader {
        let mut role = self.role.clone();
        let known = async {
            loop {
                match &*role.borrow_and_update() {
                    Role::Primary if self.lease.is_held() => return Leader::Own,
                    Role::Replica {
                        primary: Some(primary),
                        ..
                    } => return Leader::Other(primary.clone()),
                    _ => {}
                }
                tokio::select! {
                    changed = role.changed() => if changed.is_err() {
                        return Leader::Unknown;
                    },
                    () = tokio::time::sleep(RECHECK) => {}
                }
            }
        };
        let known = tokio::time::timeout(ELECTION, known).await;
        known.unwrap_or(Leader::Unknown)
    }

    async fn send(
        &self,
        primary: &str,
        request: Request<Body>,
        upgrade: hyper::upgrade::OnUpgrade,
    ) -> Result<Served, EngineError> {
        let primary = Engine::new(self.endpoint(primary)?, CONNECT);
        if !request.headers().contains_key(UPGRADE) {
            return Ok(passed(primary.send(request, RESPONSE).await?));
        }
        let (head, mut stream) = match primary.upgrade(request, RESPONSE).await? {
            Upgrade::Answered(answer) => return Ok(passed(answer)),
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
        *answer.headers_mut() = end_to_end(&head.headers);
        if let Some(protocol) = head.headers.get(UPGRADE) {
            answer.headers_mut().insert(UPGRADE, protocol.clone());
        }
        let connection = HeaderValue::from_static("Upgrade");
        answer.headers_mut().insert(CONNECTION, connection);
        Ok(answer)
    }

    fn endpoint(&self, primary: &str) -> Result<EngineEndpoint, EngineError> {
        let url = format!("tcp://{primary}");
        match &self.tls {
            EngineTls::Off => EngineEndpoint::without_tls(&url),
            EngineTls::On(configs) => EngineEndpoint::tls(&url, configs.borrow().peer.clone()),
        }
    }
}

/// Removes the mark of a forwarded request that this manager answers itself.
pub fn unmark(request: &mut Request<Incoming>) {
    request.headers_mut().remove(FORWARDED);
}

/// The client's request for the primary: marked, without headers of the client's connection except
/// the protocol that it asks for.
fn prepared(request: Request<Incoming>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let protocol = head.headers.get(UPGRADE).cloned();
    head.headers = end_to_end(&head.headers);
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    let mark = HeaderValue::from_static("1");
    head.headers.insert(FORWARDED, mark);
    Request::from_parts(head, body.map_err(std::io::Error::other).boxed_unsync())
}

fn passed<B>(answer: Response<B>) -> Served
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut head, body) = answer.into_parts();
    head.headers = end_to_end(&head.headers);
    boxed(Response::from_parts(head, body))
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

fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
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
    fn replica_answers_only_requests_about_itself() {
        for path in ["/_ping", "/v1.41/_ping", "/info", "/v1.24/info", "/version"] {
            assert!(is_its_own(&Method::GET, path), "{path}");
        }
        assert!(is_its_own(&Method::HEAD, "/v1.41/_ping"));
        for (method, path) in [
            (Method::GET, "/containers/json"),
            (Method::GET, "/v1.41/containers/info/json"),
            (Method::GET, "/events"),
            (Method::GET, "/images/version"),
            (Method::DELETE, "/containers/info"),
            (Method::DELETE, "/v1.41/volumes/version"),
            (Method::POST, "/info"),
            (Method::GET, "/x/v1.41/info"),
            (Method::GET, "//info"),
        ] {
            assert!(!is_its_own(&method, path), "{method} {path}");
        }
    }
}
