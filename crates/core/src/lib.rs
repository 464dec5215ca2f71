//! Foundations that every crate of the workspace may use, `rswarm` included.
//!
//! This crate knows nothing of machines, engines or terminals and depends on no other crate. Start
//! reading at [`printable`], which makes text from engines, hosts and stores safe to print.

pub mod libraries;
pub mod printable;
