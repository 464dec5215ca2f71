use std::io;
use std::time::Duration;

use crate::{ApiVersion, EngineEndpoint};

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No connection came about: nobody is there, or hangs up before there is TLS.
    #[error("cannot connect to {endpoint}")]
    Unreachable {
        /// Where to.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// One of the two sides did not accept the other's certificate.
    #[error("{endpoint}: {reason}")]
    Tls {
        /// Where to.
        endpoint: String,
        /// Who refused what.
        reason: TlsReason,
        /// The words of the TLS library.
        #[source]
        source: io::Error,
    },

    /// The engine answered with an error of its own.
    #[error("the engine says: {message} (status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
        /// What was asked.
        path: String,
    },

    /// The engine took too long.
    #[error("{endpoint} did not answer within {} s ({waiting_for})", .limit.as_secs_f32())]
    Deadline {
        /// Where to.
        endpoint: String,
        /// What was waited for.
        waiting_for: String,
        /// How long.
        limit: Duration,
    },

    /// The connection broke, or what came is not HTTP or not JSON.
    #[error("{endpoint} broke off, or does not speak the engine's language: {detail}")]
    Protocol {
        /// Where to.
        endpoint: String,
        /// What was seen.
        detail: String,
    },

    /// The engine speaks versions of the API that are too old.
    #[error("{endpoint} speaks API version {theirs}; the oldest understood here is {oldest}")]
    TooOld {
        /// Where.
        endpoint: String,
        /// The newest that the engine has.
        theirs: ApiVersion,
        /// The oldest that is used here.
        oldest: ApiVersion,
    },

    /// The text is no address of an engine.
    #[error("{url:?} is not an engine's address, such as tcp://10.0.0.1:2376")]
    InvalidEndpoint {
        /// The text.
        url: String,
    },
}

impl EngineError {
    pub(crate) fn protocol(endpoint: &EngineEndpoint, detail: &str) -> Self {
        Self::Protocol {
            endpoint: endpoint.to_string(),
            detail: detail.to_owned(),
        }
    }
}

/// Who refused what, when TLS came to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TlsReason {
    /// The engine's certificate is of an authority that we do not know.
    #[error("its certificate was issued by another authority than ours")]
    UnknownAuthority,
    /// The engine's certificate does not name the host that we connected to.
    #[error("its certificate is not made out to this address")]
    NameMismatch,
    /// The engine's certificate is not valid yet, by our clock.
    #[error("its certificate is not valid yet; one of the two clocks is wrong")]
    NotYetValid,
    /// The engine's certificate has expired, by our clock.
    #[error("its certificate has expired")]
    Expired,
    /// The engine does not accept our certificate.
    #[error("it refuses our client certificate")]
    ClientRefused,
    /// What listens there does not speak TLS.
    #[error("what listens there does not speak TLS")]
    NotTls,
    /// Anything else.
    #[error("TLS failed")]
    Other,
}
