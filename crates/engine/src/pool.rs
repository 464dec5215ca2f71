use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// How many connections may wait for the next call.
const MOST: usize = 32;

/// How long one may wait, when there are others.
const IDLE: Duration = Duration::from_secs(10);

/// The connections to an engine that nobody uses now.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The one that was used last, if it is still open.
    pub(crate) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(Idle { connection, .. }) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer has come to its end.
    ///
    /// What a burst of calls needed goes with the first call after it.
    pub(crate) fn keep(&self, connection: Connection) {
        if !connection.is_open() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|kept| now.duration_since(kept.since) < IDLE && kept.connection.is_open());
        if idle.len() < MOST {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
