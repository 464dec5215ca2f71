use std::future::Future;

use crate::error::{CommandError, ErrorKind};

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
