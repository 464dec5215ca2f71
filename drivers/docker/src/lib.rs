//! The docker driver: hosts as system containers on an engine of this computer.
//!
//! A machine is a container whose first process is systemd, with an sshd and an engine of its own:
//! a whole host within seconds, for laptops and CI without a hypervisor. The driver builds the
//! image of such a host itself (`templates/node` holds what goes in), chooses a fixed address,
//! and gives the host its keys before its first boot, so that even the first contact is verified.
//!
//! It knows the engine's API and nothing of provisioning: what runs inside the host is reached
//! over SSH by others. Start reading at [`DockerKind`], then `driver.rs`.

mod archive;
mod attach;
mod bootstrap;
mod build_output;
mod check;
mod config;
mod container;
mod create;
mod daemon;
mod driver;
mod failure;
mod flags;
mod host;
mod isolation;
mod keys;
mod kind;
mod lock;
mod machine;
mod network;
mod node_image;
mod power;
mod recipe;
mod remove;

pub use kind::DockerKind;
