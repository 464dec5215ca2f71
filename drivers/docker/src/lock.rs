use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, Report};

use crate::failure::file;

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes a lock between all processes that use this store; it ends with the file's last holder,
/// even one that was killed.
pub async fn lock(
    path: &Path,
    what_for: &str,
    limit: Duration,
    report: &dyn Report,
) -> Result<File, DriverError> {
    let opened = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
    };
    let lock = opened().map_err(|source| file(path, source))?;
    let began = Instant::now();
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(source)) => return Err(file(path, source)),
            Err(TryLockError::WouldBlock) => {}
        }
        if began.elapsed() >= limit {
            return Err(DriverError::Timeout {
                waiting_for: format!("another rmachine that is {what_for}"),
                limit,
                last: format!("{} is still held", path.display()),
            });
        }
        if !told && began.elapsed() > PAUSE * 5 {
            report.step(&format!("waiting for another rmachine that is {what_for}"));
            told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use rmachine_driver::Silent;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_held_lock_is_waited_for_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/x.lock");
        let take = || lock(&path, "busy", Duration::ZERO, &Silent);
        let held = take().await.unwrap();
        let error = take().await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error:?}");
        drop(held);
        take().await.unwrap();
    }
}
