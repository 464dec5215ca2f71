use std::fmt;
use std::io;

use http::StatusCode;
use rmachine_engine::EngineError;

use crate::json::TypeMismatch;

/// Why a client does not get what it asks for, with Docker's status for it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no such route.
    #[error("page not found")]
    NoRoute,

    /// There is no such thing in the cluster.
    #[error("No such {kind}: {name}{}", ambiguity(.candidates))]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// By which name.
        name: String,
        /// What the name could mean, where it is ambiguous.
        candidates: Vec<String>,
    },

    /// What is asked for is nowhere.
    #[error("{0}")]
    Nothing(String),

    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),

    /// What is there already stands against it.
    #[error("{0}")]
    Conflict(String),

    /// The body is longer than such a body may be.
    #[error("the request's body is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },

    /// The client did not send its body in time.
    #[error("the request's body did not come within {seconds} s")]
    TooSlow {
        /// How long was waited.
        seconds: u64,
    },

    /// The client broke off while it sent its body.
    #[error("the request's body could not be read: {0}")]
    Body(String),

    /// Engines can do it, a cluster of them cannot.
    #[error("{0}")]
    NotSupported(&'static str),

    /// It takes an engine in swarm mode.
    #[error(
        "This node is not a swarm manager: it is a cluster of standalone engines, which has no {0}"
    )]
    NoSwarmMode(&'static str),

    /// Nobody can do it now.
    #[error("{0}")]
    Unavailable(String),

    /// No node will do.
    #[error("{0}")]
    Unschedulable(String),

    /// The container's node does not answer.
    #[error("{}", on_unhealthy(*.kind, .name, .node))]
    UnhealthyNode {
        /// What was looked for.
        kind: Kind,
        /// By which name.
        name: String,
        /// Its node.
        node: String,
    },

    /// A node's engine did not do it.
    #[error("{}", engine_sentence(.node, .source))]
    Engine {
        /// The node.
        node: String,
        /// What happened.
        source: EngineError,
    },

    /// Some nodes did not do it.
    #[error("{}", .0.iter().map(NodeFailure::to_string).collect::<Vec<_>>().join("\n"))]
    Nodes(Vec<NodeFailure>),

    /// The rest.
    #[error("{0}")]
    Internal(String),
}

/// What a client looks for by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// What `exec` started.
    Exec,
    /// A node.
    Node,
}

/// What one node of several said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeFailure {
    /// The node.
    pub node: String,
    /// Docker's status for it.
    pub status: StatusCode,
    /// Its words.
    pub message: String,
}

impl ApiError {
    /// The status that Docker answers with in this case.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::NotFound { .. } | Self::Nothing(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NotSupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::NoSwarmMode(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unschedulable(_) | Self::UnhealthyNode { .. } | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Engine { source, .. } => engine_status(source),
            Self::Nodes(failures) => match failures.as_slice() {
                [first, rest @ ..] if rest.iter().all(|other| other.status == first.status) => {
                    first.status
                }
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// A node's engine that did not do it.
    pub fn engine(node: &str, source: EngineError) -> Self {
        Self::Engine {
            node: node.to_owned(),
            source,
        }
    }

    /// A name that nothing has.
    pub fn not_found(kind: Kind, name: &str) -> Self {
        Self::NotFound {
            kind,
            name: name.to_owned(),
            candidates: Vec::new(),
        }
    }
}

impl From<TypeMismatch> for ApiError {
    fn from(error: TypeMismatch) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ApiError> for io::Error {
    fn from(error: ApiError) -> Self {
        Self::other(error)
    }
}

impl NodeFailure {
    /// What became of one node's part of the work.
    pub fn of(node: &str, error: &ApiError) -> Self {
        let message = match error {
            ApiError::Engine {
                source: EngineError::Refused { message, .. },
                ..
            } => message.clone(),
            other => other.to_string(),
        };
        Self {
            node: node.to_owned(),
            status: error.status(),
            message,
        }
    }
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.message)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Exec => "exec instance",
            Self::Node => "node",
        })
    }
}

fn engine_status(error: &EngineError) -> StatusCode {
    match error {
        EngineError::Refused { status, .. } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        EngineError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// An engine's own words stand alone: the client puts its prefix before them.
fn engine_sentence(node: &str, error: &EngineError) -> String {
    match error {
        EngineError::Refused { message, .. } => message.clone(),
        other => format!("node {node}: {}", chain(other)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        sentence = format!("{sentence}: {cause}");
        source = cause.source();
    }
    sentence
}

fn on_unhealthy(kind: Kind, name: &str, node: &str) -> String {
    match kind {
        Kind::Container => format!("Container {name} running on unhealthy node {node}"),
        other => format!("the {other} {name} is on the unhealthy node {node} only"),
    }
}

fn ambiguity(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (the name is ambiguous: {})", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> ApiError {
        let source = EngineError::Refused {
            status,
            message: message.to_owned(),
            path: "/x".to_owned(),
        };
        ApiError::engine("node-1", source)
    }

    #[test]
    fn an_engines_status_and_words_are_kept() {
        let error = refused(304, "it runs");
        assert_eq!(error.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(error.to_string(), "it runs");
        assert_eq!(refused(99, "").status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn ambiguous_names_are_told() {
        let mut error = ApiError::not_found(Kind::Container, "dup");
        assert_eq!(error.to_string(), "No such container: dup");
        if let ApiError::NotFound { candidates, .. } = &mut error {
            candidates.extend(["a/dup".to_owned(), "b/dup".to_owned()]);
        }
        assert_eq!(
            error.to_string(),
            "No such container: dup (the name is ambiguous: a/dup, b/dup)"
        );
        assert_eq!(error.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn nodes_that_agree_have_one_status() {
        let failure = |node: &str, status| NodeFailure::of(node, &refused(status, "in use"));
        let same = ApiError::Nodes(vec![failure("a", 409), failure("b", 409)]);
        assert_eq!(same.status(), StatusCode::CONFLICT);
        assert_eq!(same.to_string(), "a: in use\nb: in use");
        let mixed = ApiError::Nodes(vec![failure("a", 409), failure("b", 404)]);
        assert_eq!(mixed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
