//! The servers of stores that clusters share, on machines of rmachine's own.
//!
//! `decide.rs` says which servers are one store, what can be joined, and what `machine:NAME` in a
//! URL stands for; it is pure. `certificates.rs` has what servers and their clients show each
//! other, `members.rs` asks servers about each other, `membership.rs` lets one come and leave, and
//! `serve.rs` brings a machine's server about.

mod certificates;
mod decide;
mod members;
mod membership;
mod serve;

pub(crate) use certificates::uses_store;
pub use decide::{Reference, StoreRefusal};
pub(crate) use decide::{Server, Stores};
pub(crate) use serve::{has_cluster_store, is_of_machine, package};
