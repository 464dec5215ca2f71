//! The companion `rswarm` as rmachine brings it to a machine: one static program, the image that is
//! made around it in memory, and the containers that run it as a cluster's manager and agent.
//!
//! The same program always gives the same image, and the same wishes the same container, so that
//! whatever is there already stays. The servers of stores that clusters share come about the same
//! way, from programs of this computer or from a registry's images. This crate knows engines, and
//! no machines, files of rmachine's store or flags. Start reading at [`part::Manager`] and
//! [`server::Etcd`] for what runs, [`converge`] for how it comes about.

mod archive;
mod container;
mod elf;
mod error;
mod image;
mod load;
pub mod part;
mod program;
mod pull;
pub mod server;
mod whole;

pub use container::{
    Change, Container, Converged, File, converge, last_words, let_end, remove, remove_volume,
};
pub use error::CompanionError;
pub use image::{Architecture, Image};
pub use load::{has, has_any, send};
pub use program::Search;
pub use pull::pull;
pub use whole::WholeProgram;

/// What the companion's image is called on engines.
pub const TAG: &str = concat!("rswarm:", env!("CARGO_PKG_VERSION"));

/// The version of the companion that belongs to this rmachine.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
