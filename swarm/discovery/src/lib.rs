//! Who belongs to a cluster, and who leads it: a stream of changes, one implementation a store.
//!
//! Knows nothing of engines, schedulers or the Docker API. Start reading at [`Discovery`], then
//! [`discovery()`].

mod api;
mod backoff;
mod clock;
mod embedded;
mod entry;
mod error;
mod factory;
mod file;
mod http;
mod nodes;
mod options;
mod pattern;
mod poll;
mod roster;
mod serving;
mod state_file;
mod store;
mod token;
mod url;

pub use api::{Discovery, Election, Standing, Update};
pub use backoff::Backoff;
pub use clock::BootInstant;
pub use embedded::{MembershipService, Registrant};
pub use entry::{Entry, InvalidEntry};
pub use error::DiscoveryError;
pub use factory::{discovery, election, new_token};
pub use options::{Secret, StoreOptions};
pub use token::TokenService;
pub use url::{DiscoveryUrl, InvalidUrl, StoreKind, StoreUrl};
