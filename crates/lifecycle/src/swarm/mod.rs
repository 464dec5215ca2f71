//! A machine's part in a cluster: the manager and the agent that run on it, and who keeps the
//! cluster's nodes.
//!
//! What is asked is in the record, as docker-machine has it there. `keeper` decides who keeps
//! the nodes, [`standing`] reads what a manager says of one; both are pure. `join.rs` does it.

mod decide;
mod join;
mod standing;

pub use decide::{EMBEDDED, InvalidSwarmHost, SwarmHost, SwarmRefusal};
pub(crate) use decide::{Keeper, Master, keeper};
pub(crate) use join::{last_words, reached_at};
pub use standing::{Standing, standing};
