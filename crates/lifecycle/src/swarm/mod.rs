//! A machine's part in a cluster: the manager and the agent that run on it, and who keeps the
//! cluster's nodes.
//!
//! What is asked is in the record, as docker-machine has it there. `keeper` decides who keeps
//! the nodes, [`standing`] reads what a manager says of one; both are pure. `join.rs` does it,
//! `place.rs` says where others reach a machine, `answers.rs` waits for managers.

mod answers;
mod authority;
mod decide;
mod join;
mod place;
mod standing;

pub(crate) use answers::last_words;
pub use decide::{EMBEDDED, InvalidSwarmHost, SwarmHost, SwarmRefusal};
pub(crate) use decide::{Keeper, Master, keeper};
pub(crate) use place::{interface_address, reached_at};
pub use standing::{Standing, standing};
