//! The Docker Engine API over mutual TLS or a local socket.
//!
//! A thin client: it connects, agrees on an API version with the engine, sends a request and
//! returns what came back, with every failure typed, so that a person can be told what to do. It
//! knows the engine's protocol and no machine, no file and no flag; certificates come in as a
//! [`rustls::ClientConfig`]. Start reading at [`Engine`].

mod answer;
mod body;
mod connection;
mod deadline;
mod endpoint;
mod engine;
mod error;
mod keepalive;
mod pool;
mod progress;
mod raw;
mod request;
mod response;
mod tls;
mod upgrade;
mod version;

pub use answer::EngineBody;
pub use body::{Body, full, reader};
pub use endpoint::EngineEndpoint;
pub use engine::{Engine, error_message};
pub use error::{EngineError, TlsReason};
pub use keepalive::probe_when_idle;
pub use response::{Buffered, InvalidJson, ReadError, ResponseBudget, ResponseKind, read_bounded};
pub use upgrade::{Upgrade, Upgraded};
pub use version::{ApiVersion, ApiWindow, InvalidApiVersion, Ping, VersionInfo};
