//! The manager's certificate, used three ways: for its clients, for the engines, and for the
//! primary that a replica passes requests on to. Files that change are read again.

mod files;
mod reload;

pub use files::{TlsConfigs, TlsError, TlsFiles};
pub use reload::reloaded;
