//! `token://`: a service that keeps the members of any number of clusters, each known by a token
//! that nobody can guess. The public one of the original is gone; [`TokenService`] is one.

mod client;
mod clusters;
mod service;

pub(crate) use client::TokenDiscovery;
pub use service::TokenService;
