//! The cluster runtime: many engines behind one Docker API, as classic Swarm was.
//!
//! A manager (`rswarm manage`) knows its nodes from a discovery, keeps the state of each, and
//! answers Docker clients as if all were one engine. An agent (`rswarm join`) only registers its
//! engine. Start reading at [`cli`].

pub mod advertise;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod listen;
pub mod manager;
pub mod metrics;
pub mod statement;
pub mod tls;

mod agent;
