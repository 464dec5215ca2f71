//! The cluster file: from text to a cluster, or to all that is wrong with the text.
//!
//! `tree` reads the document with its places, `variables` puts values in, `check` holds it against
//! the fields of `shape`, `read` makes the cluster out of it, and `flags` asks the drivers.

mod check;
mod flags;
mod group;
mod problem;
mod read;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod variables;

pub use problem::Problem;
pub use schema::schema;
pub use variables::Variables;
