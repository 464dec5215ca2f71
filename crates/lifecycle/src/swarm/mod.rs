//! A machine's part in a cluster: the manager and the agent that run on it, and who keeps the
//! cluster's nodes.
//!
//! What is asked is in the record, as docker-machine has it there. [`discovery`] decides where the
//! nodes are kept, [`standing`] reads what a manager says of one; both are pure. `join.rs` does it.

mod decide;
mod join;
mod standing;

pub use decide::{EMBEDDED, InvalidSwarmHost, SwarmHost, SwarmRefusal};
pub(crate) use decide::{Master, discovery};
pub use standing::{Standing, standing};
