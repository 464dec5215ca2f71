//! The driver contract as a test: [`walk`] takes a machine of any driver through its life and
//! holds every answer against what `rmachine-driver` promises.
//!
//! It is a library for tests and knows no driver: what a driver's machines can do comes from its
//! capabilities, where they are comes from [`Subject`]. A broken promise is a panic that names it,
//! as in any test. Start reading at [`walk`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a library of assertions: it fails as a test does"
)]

mod journal;
mod subject;
mod walk;

pub use journal::Remembered;
pub use subject::{Subject, Told};
pub use walk::walk;
