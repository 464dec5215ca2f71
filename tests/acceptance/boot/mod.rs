//! Whole systems that boot, on computers that are emulated. They take the longest, so they are among
//! the first to begin.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod computer;
mod iso;
mod virtualbox;

static TURN: Mutex<()> = Mutex::new(());

/// Waits for other tests' computers to be switched off: each takes a whole processor, and has to
/// boot in time.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
