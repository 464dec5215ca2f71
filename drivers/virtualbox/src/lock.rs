use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
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
/// VirtualBox has one set of them for each person, whatever stores that person has; so the lock is
/// a file among VirtualBox's own where there can be one, and in the store otherwise. It ends with
/// the returned file, or with the process.
pub async fn lock(
    of_user: Option<&Path>,
    of_store: &Path,
    report: &dyn Report,
) -> Result<File, DriverError> {
    if let Some(path) = of_user
        && let Ok(file) = open(path)
    {
        return within(LIMIT, path, file, report).await;
    }
    let opened = of_store.parent().map_or(Ok(()), fs::create_dir_all);
    let opened = opened.and_then(|()| open(of_store));
    let opened = opened.map_err(|source| file(of_store, source))?;
    within(LIMIT, of_store, opened, report).await
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options.mode(0o600).open(path)
}

async fn within(
    limit: Duration,
    path: &Path,
    lock: File,
    report: &dyn Report,
) -> Result<File, DriverError> {
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
    use std::os::unix::fs::PermissionsExt as _;

    use rmachine_driver::Silent;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_held_lock_is_waited_for_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let take = || within(Duration::ZERO, &path, open(&path).unwrap(), &Silent);
        let held = take().await.unwrap();
        let error = take().await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error:?}");
        drop(held);
        take().await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn it_lies_with_virtualbox_where_it_can_and_in_the_store_where_not() {
        let directory = tempfile::tempdir().unwrap();
        let of_user = directory.path().join("x.lock");
        let of_store = directory.path().join("deep/x.lock");
        let held = lock(Some(&of_user), &of_store, &Silent).await.unwrap();
        assert!(!of_store.exists());
        let mode = fs::metadata(&of_user).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(held);

        let nowhere = directory.path().join("not/there/x.lock");
        for of_user in [None, Some(nowhere.as_path())] {
            lock(of_user, &of_store, &Silent).await.unwrap();
        }
        assert!(of_store.exists() && !nowhere.exists());
    }
}
