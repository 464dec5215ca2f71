//! Real hosts for tests: containers of the lab's engine, with systemd as their first process, an
//! sshd, and the engine that their distribution ships. `tests/lab/lab.sh up` makes the lab.
//!
//! A test that finds no lab is skipped (see `crates/test-support`):
//!
//! ```ignore
//! let Some(host) = Host::start(Image::Bookworm) else { return };
//! ```
//!
//! When `RMACHINE_LAB_ENGINE` names an engine, a lab is expected there, and its absence is a
//! failure. With `RMACHINE_LAB_KEEP=1` hosts outlive their tests.

mod companion;
mod engine;
mod host;
mod network;
mod program;

#[allow(
    unused_imports,
    reason = "of the programs that share this, not all run the companion"
)]
pub use companion::companion;
#[allow(
    unused_imports,
    reason = "of the programs that share this, not all ask the engine itself"
)]
pub use engine::lab;
pub use host::{Host, Image, Ran};
pub use network::Network;
