//! The Docker API of the cluster.

mod answer;
mod create;
mod error;
mod info;
mod merge;
mod path;
mod query;

pub use error::{ApiError, Kind, NodeFailure};
