//! A node: its life, and the task that leads it.

mod fetch;
mod fingerprint;
mod reason;
mod refresh;
mod state;
mod stream;
mod task;

pub use state::NodeStatus;
pub(crate) use state::{Life, Turn};
pub(crate) use task::spawn;
