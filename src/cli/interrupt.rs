use std::future::Future;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use crate::error::{CommandError, ErrorKind};

/// After an interruption: what was asked of an engine a moment ago may still be on its way to be
/// made, and what is not there yet cannot be removed.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Does the work, unless Ctrl-C ends it: then the work is dropped where it stands.
///
/// # Errors
/// [`ErrorKind::Interrupted`].
pub async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    tokio::select! {
        done = work => Ok(done),
        Ok(()) = tokio::signal::ctrl_c() => Err(CommandError::new(
            ErrorKind::Interrupted,
            "interrupted; what was begun stays as it is",
        )),
    }
}

/// The signals that ask this process to end.
///
/// While there is one, none of them ends it by itself.
pub struct Interrupts {
    int: Signals,
    term: Signals,
    hup: Signals,
}

impl Interrupts {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen() -> Result<Self, CommandError> {
        let listen = |kind| {
            let signals = signal(kind);
            let failed = CommandError::failed("cannot listen to signals");
            signals.map_err(|error| failed.caused_by(&error))
        };
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.int.recv() => Signal::SIGINT,
            _ = self.term.recv() => Signal::SIGTERM,
            _ = self.hup.recv() => Signal::SIGHUP,
        }
    }
}
