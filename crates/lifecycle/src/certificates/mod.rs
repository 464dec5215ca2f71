//! The certificates of a machine: the authority that its record names, and what it issues.
//!
//! `shared.rs` reads the authority and the identity of clients, `issue.rs` issues the certificates of
//! engines, managers and agents, `requirement.rs` decides whether one that exists can stay.

mod issue;
mod requirement;
mod shared;

use rmachine_driver::CheckFailure;
use rmachine_pki::PkiError;

use crate::LifecycleError;

pub(crate) use issue::Pair;
pub(crate) use requirement::{Requirement, State, state};
pub(crate) use shared::{STORES, SharedCertificates};

/// A reason against the work that was requested; nothing was changed.
pub(crate) fn rejected(failure: CheckFailure) -> LifecycleError {
    LifecycleError::Check(vec![failure])
}

pub(crate) fn of(what: impl Into<String>) -> impl FnOnce(PkiError) -> LifecycleError {
    let what = what.into();
    move |source| LifecycleError::Certificate { what, source }
}
