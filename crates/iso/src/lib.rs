//! The ISOs that virtual machines boot from: a cache that every process shares, and the building
//! of an ISO that takes the place of boot2docker.
//!
//! [`Cache::obtain`] gives the ISO of a [`Source`]: the one that lies there, or one download for
//! any number of processes. [`Cache::named`] gives one by its name, as `rmachine iso ls` shows it.
//! [`build()`] makes one from Debian's packages; everything that goes into it beside them is in
//! `templates/iso`.
//!
//! This crate knows neither the store, whose directory it is given, nor any hypervisor. Start
//! reading at [`Cache`], then at [`build()`].

mod build;
mod cache;
mod digest;
mod download;
mod error;
mod image;
mod lock;
mod name;
mod note;
mod progress;
mod source;

pub use build::{
    BuildEngine, BuildError, BuildOrder, BuildPackages, Built, InvalidLock, LockedPackage,
    PackageLock, UnknownEngine, build,
};
pub use cache::{Cache, Iso, Listed, Verdict};
pub use digest::{InvalidSha256, Sha256};
pub use download::MAX_DOWNLOAD;
pub use error::{Broken, IsoError};
pub use name::{InvalidIsoName, IsoName};
pub use source::{InvalidSource, Source};
