//! Where the program listens, and how it answers there.

mod address;
mod serve;

pub use address::{InvalidListenAddress, ListenAddress};
pub use serve::{ListenError, Listener, Peer, Served, boxed, serve};
