//! Helpers that the tests of every crate share. Only tests may depend on this crate.
//!
//! A test that cannot run where it is started calls [`skip`] and returns:
//!
//! ```text
//! let Some(engine) = engine() else { return skip("RMACHINE_TEST_ENGINE names no engine") };
//! ```
//!
//! `tests/run` reads what was skipped from the file that [`RECORD`] names and counts it in its
//! closing line.

mod allowed;
mod skip;

pub use skip::{RECORD, skip};
