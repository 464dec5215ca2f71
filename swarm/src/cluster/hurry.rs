//! Whether somebody waits for what is collected.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Lets changes be collected for a while, unless somebody waits for them.
#[derive(Default)]
pub(crate) struct Hurry {
    waiting: AtomicUsize,
    come: Notify,
}

/// Somebody waits, until this value goes.
pub(crate) struct Waiting<'a>(&'a Hurry);

impl Hurry {
    /// Says that somebody waits.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.come.notify_waiters();
        Waiting(self)
    }

    /// That long, or until somebody waits.
    pub(crate) async fn collect(&self, limit: Duration) {
        let come = self.come.notified();
        if self.waiting.load(Ordering::SeqCst) == 0 {
            let _ = tokio::time::timeout(limit, come).await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
