//! Why a node is not as it should be, in words that help.

use rmachine_engine::{EngineError, TlsReason};

/// A failure, its causes and what to look at, in one line for `docker info`.
pub(crate) fn reason(error: &EngineError) -> String {
    let mut text = match error {
        EngineError::Unreachable { endpoint, .. } => format!(
            "Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?"
        ),
        other => other.to_string(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match hint(error) {
        Some(hint) => format!("{text} (hint: {hint})"),
        None => text,
    }
}

fn hint(error: &EngineError) -> Option<&'static str> {
    Some(match error {
        EngineError::Unreachable { .. } => {
            "see that the advertised address and port are those of the engine, and that no \
             firewall is between"
        }
        EngineError::Deadline { .. } => "the engine or the network between hangs",
        EngineError::Tls { reason, .. } => match reason {
            TlsReason::UnknownAuthority => {
                "the engine's certificate must be of the authority given by --tlscacert"
            }
            TlsReason::NameMismatch => "the engine's certificate must name the advertised address",
            TlsReason::NotYetValid => "set the clocks",
            TlsReason::Expired => "the engine needs a new certificate",
            TlsReason::ClientRefused => {
                "the manager's certificate must be of the engine's authority and good for clients \
                 (extended key usage clientAuth)"
            }
            TlsReason::NotTls => "start the engine with --tlsverify, or the manager without",
            TlsReason::Other => return None,
        },
        EngineError::Protocol { .. } => {
            "an engine that asks for TLS needs a manager with --tlsverify"
        }
        EngineError::Refused { .. } | EngineError::TooOld { .. } => return None,
        EngineError::InvalidEndpoint { .. } => "advertise host:port",
    })
}
