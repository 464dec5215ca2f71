use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rmachine_driver::MachineName;

use crate::{StoreError, atomic};

/// How long a waiting process sleeps between two tries, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The right to change one machine. The kernel takes it back when the process ends, however it
/// ends.
#[derive(Debug)]
pub struct MachineLock {
    name: MachineName,
    _held: Held,
}

impl MachineLock {
    pub(crate) fn acquire(
        path: &Path,
        name: &MachineName,
        wait: Duration,
    ) -> Result<Self, StoreError> {
        match lock(path, wait)? {
            Outcome::Held(held) => Ok(Self {
                name: name.clone(),
                _held: held,
            }),
            Outcome::Busy(holder) => Err(StoreError::Busy {
                name: name.clone(),
                waited: wait,
                holder,
            }),
        }
    }

    /// The machine.
    pub fn name(&self) -> &MachineName {
        &self.name
    }
}

/// The right to change the shared certificates.
#[derive(Debug)]
pub struct CertificateLock {
    _held: Held,
}

impl CertificateLock {
    pub(crate) fn acquire(path: &Path, wait: Duration) -> Result<Self, StoreError> {
        match lock(path, wait)? {
            Outcome::Held(held) => Ok(Self { _held: held }),
            Outcome::Busy(holder) => Err(StoreError::CertificatesBusy {
                waited: wait,
                holder,
            }),
        }
    }
}

/// A locked file.
#[derive(Debug)]
struct Held(File);

impl Drop for Held {
    /// A process that is just being started has the file too until it becomes another program;
    /// closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

enum Outcome {
    Held(Held),
    Busy(Option<u32>),
}

fn lock(path: &Path, wait: Duration) -> Result<Outcome, StoreError> {
    if let Some(dir) = path.parent() {
        atomic::make_private_dir(dir)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(StoreError::io("open", path))?;

    let deadline = Instant::now() + wait;
    let mut pause = FIRST_PAUSE;
    loop {
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file);
                return Ok(Outcome::Held(Held(file)));
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", path)(source)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Outcome::Busy(signature(&mut file)));
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
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
