//! Chooses the node for a container: pure functions over what is known of the nodes.
//!
//! Knows no engine, no network and no clock; chance is handed in. Start reading at
//! [`Scheduler::select`], which takes [`Node`]s and a [`Request`].

mod directives;
mod expression;
mod filter;
#[cfg(test)]
mod fuzz;
mod index;
mod json;
pub mod node;
mod pattern;
mod port;
mod replacement;
mod request;
mod reschedule;
mod resident;
mod scheduler;
mod strategy;
mod unschedulable;

pub use directives::{Directives, DirectivesError, SWARM_ID_LABEL};
pub use expression::{Expression, ExpressionError, Operator};
pub use filter::{Filter, UnknownFilter};
pub use json::{Malformed, type_name};
pub use node::Node;
pub use port::{Port, Protocol, PublishedPort};
pub use replacement::Replacement;
pub use request::{Dependency, Request, RequestError};
pub use reschedule::{PolicyError, ReschedulePolicy};
pub use resident::{Label, Resident, State};
pub use scheduler::Scheduler;
pub use strategy::{Strategy, UnknownStrategy};
pub use unschedulable::{Blocker, Holds, Unschedulable};
