//! Where the program listens, and how it answers there.
//!
//! Start reading at [`serve`]. Clients without a certificate are untrusted: [`admission`] decides
//! which of their connections stay open, [`cross_site`] which of their requests a browser may have
//! been tricked into sending.

mod address;
mod admission;
mod connections;
mod cross_site;
mod descriptors;
mod log_throttle;
mod serve;
mod unix_socket;

pub use address::{InvalidListenAddress, ListenAddress};
pub use descriptors::raise_descriptor_limit;
pub use serve::{ListenError, Listener, Peer, Served, boxed, serve};
