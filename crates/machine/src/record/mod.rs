//! `config.json` of version 3: typed views over JSON whose unknown fields stay as they are.

mod document;
mod migrate;
mod options;
mod own;
mod reroot;

pub use document::Record;
pub(crate) use document::Unreadable;
pub use options::{AuthOptions, EngineOptions, SwarmOptions};
pub use own::{Own, StoreKind, StoreServer, StoreSource, SwarmMode, UnknownStoreKind};
