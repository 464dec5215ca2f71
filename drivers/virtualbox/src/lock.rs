use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, Report};

use crate::failure::file;

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long others may take: a few calls of VBoxManage each, on a slow computer.
const LIMIT: Duration = Duration::from_secs(300);

/// Takes the lock under which VirtualBox's VMs, adapters and DHCP servers come and go, which it
/// cannot do for several processes at once.
///
/// It ends with the returned file, or with the process.
pub async fn lock(path: &Path, report: &dyn Report) -> Result<File, DriverError> {
    within(LIMIT, path, report).await
}

async fn within(limit: Duration, path: &Path, report: &dyn Report) -> Result<File, DriverError> {
    let opened = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        options.open(path)
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
                waiting_for: "another rmachine that works on VirtualBox's VMs or networks"
                    .to_owned(),
                limit,
                last: format!("{} is still held", path.display()),
            });
        }
        if !told && began.elapsed() > Duration::from_secs(1) {
            report.step("waiting for another rmachine to be done with VirtualBox");
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
        let take = || within(Duration::ZERO, &path, &Silent);
        let held = take().await.unwrap();
        let error = take().await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error:?}");
        drop(held);
        take().await.unwrap();
    }
}
