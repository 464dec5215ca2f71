use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rmachine_driver::Report;

use crate::IsoError;

/// How long a waiting process sleeps between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it says what it waits for.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// The right to make or change one file of the cache. The kernel takes it back when the process
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Drop for Held {
    /// A process that is just being started has the file too until it becomes another program;
    /// closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Waits for a lock as long as its holder makes headway, which is what `watched` grows by.
pub(crate) struct Waiting<'a> {
    /// The lock's file.
    pub lock: &'a Path,
    /// For messages: "the ISO boot2docker".
    pub what: &'a str,
    /// The file that whoever holds the lock writes.
    pub watched: &'a Path,
    /// How long nothing may happen.
    pub patience: Duration,
}

impl Waiting<'_> {
    /// Takes the lock.
    pub(crate) async fn acquire(&self, report: &dyn Report) -> Result<Held, IsoError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options
            .open(self.lock)
            .map_err(IsoError::io("open", self.lock))?;
        let mut length = self.length();
        let mut moved = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    sign(&mut file);
                    return Ok(Held(file));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => {
                    return Err(IsoError::io("lock", self.lock)(source));
                }
            }
            let now = self.length();
            if now != length {
                (length, moved) = (now, Instant::now());
            }
            if moved.elapsed() > self.patience {
                return Err(IsoError::Busy {
                    what: self.what.to_owned(),
                    waited: self.patience,
                    holder: signature(&mut file),
                });
            }
            if told.is_none_or(|told| told.elapsed() > TOLD_EVERY) {
                let holder = signature(&mut file)
                    .map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
                let got = length.map_or_else(String::new, |n| format!(" ({} MB)", n / 1_000_000));
                report.step(&format!("waiting for {holder} to make {}{got}", self.what));
                told = Some(Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn length(&self) -> Option<u64> {
        fs::metadata(self.watched).ok().map(|found| found.len())
    }
}

/// Writes who holds the lock, for the message that others get. It decides nothing, so a failure
/// to write it does not matter.
fn sign(file: &mut File) {
    if file.rewind().is_ok() && file.set_len(0).is_ok() {
        write!(file, "{}", std::process::id()).ok();
    }
}

fn signature(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
