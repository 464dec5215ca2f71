//! Engines as nodes of a swarm of their own making (Docker's swarm mode), in place of a manager and
//! agents beside them.
//!
//! [`Local`] is what an engine says of itself, `step` decides what has to be done, both without an
//! engine; `join.rs` does it, and `leave.rs` takes a node out again. Join tokens go from engine to
//! engine and are kept nowhere.

mod join;
mod leave;
mod step;

pub use step::SwarmModeRefusal;
pub(crate) use step::{Local, Step, step};
