//! The virtualbox driver: hosts as virtual machines of VirtualBox.
//!
//! A machine is a VM that boots a boot2docker ISO image, with two network cards: one behind NAT,
//! through which this computer also reaches its sshd, and one on a host-only network, where it has
//! an address that stays. VirtualBox is driven through its VBoxManage, whose answers are read
//! leniently and whose complaints are explained; settings that are docker-machine's keep its names,
//! so that both programs can have the same machines.
//!
//! The crate knows VirtualBox and nothing of provisioning; it speaks SSH only to ask a machine for
//! an address that nobody else knows. Where ISO images come from it is told ([`IsoSource`]). Start
//! reading at [`VirtualBoxKind`], then `driver.rs`; what is decided without VirtualBox is in
//! `network.rs` (which network, which address) and `build.rs` (what a VM lacks).

mod adapter;
mod address;
mod allowed;
mod answer;
mod asked;
mod attach;
mod attachment;
mod build;
mod check;
mod config;
mod create;
mod disk;
mod driver;
mod failure;
mod find;
mod flags;
mod host_networks;
mod import;
mod iso;
mod keys;
mod kind;
mod lease;
mod lock;
mod machine;
mod manage;
mod media;
mod net;
mod network;
mod port;
mod register;
mod remove;
mod said;
mod settle;
mod share;
mod snapshot;
mod start;
mod stop;
mod subnet;
mod survey;
mod virtualization;

pub use find::{Surroundings, System};
pub use iso::{IsoSource, IsoUnavailable};
pub use kind::VirtualBoxKind;
