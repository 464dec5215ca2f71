//! How long things may take. Every wait of this crate has its bound here.

use std::time::Duration;

/// For the lock of a machine that another process works on.
pub(crate) const MACHINE_LOCK: Duration = Duration::from_secs(3);

/// For a machine's driver to tell its state. One that cannot tell in time is taken to run: whoever
/// works on it will say what is wrong.
pub(crate) const STATE: Duration = Duration::from_secs(5);
