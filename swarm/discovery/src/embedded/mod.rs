//! `embedded://`: the membership of one cluster, kept by a manager itself and served on the port
//! where it lets in only those with the cluster's certificates.
//!
//! ```text
//! GET    /rswarm/v1/members                            {"version": "…", "members": ["host:port", …]}
//! GET    /rswarm/v1/members?version=…&wait=SECONDS     the same, as soon as there is another version
//! PUT    /rswarm/v1/members/HOST:PORT?ttl=SECONDS      registers
//! DELETE /rswarm/v1/members/HOST:PORT                  deregisters
//! ```
//!
//! An agent may change only its own entry (see `registry`): 403 for another one, 429 when the cluster
//! is full, 400 for an invalid entry or TTL.
//!
//! A version stands for one membership in one life of the service: whoever asks with that of an
//! earlier life is answered at once.

mod client;
mod registry;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use client::Embedded;
pub use registry::Registrant;
pub use service::MembershipService;

/// Where the members are.
const PATH: &str = "/rswarm/v1/members";
