use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
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
    _held: FileLock,
}

impl MachineLock {
    pub(crate) fn acquire(
        path: &Path,
        name: &MachineName,
        wait: Duration,
    ) -> Result<Self, StoreError> {
        match lock_file(path, wait)? {
            Locked::Held(held) => Ok(Self {
                name: name.clone(),
                _held: held,
            }),
            Locked::Busy(holder) => Err(StoreError::Busy {
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

/// The right to change the shared certificates, or the promise to change nothing.
#[derive(Debug)]
pub struct CertificateLock {
    held: Option<FileLock>,
}

impl CertificateLock {
    pub(crate) fn acquire(path: &Path, wait: Duration) -> Result<Self, StoreError> {
        match lock_file(path, wait)? {
            Locked::Held(held) => Ok(Self { held: Some(held) }),
            Locked::Busy(holder) => Err(StoreError::CertificatesBusy {
                waited: wait,
                holder,
            }),
        }
    }

    /// The lock of a preview: nothing is locked, and what is written under it is discarded.
    pub(crate) fn preview() -> Self {
        Self { held: None }
    }

    /// Whether writes are discarded.
    pub(crate) fn is_preview(&self) -> bool {
        self.held.is_none()
    }
}

/// A locked file. The lock goes when this is dropped, and the kernel takes it back when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct FileLock(File);

impl Drop for FileLock {
    /// A process that is just being started has the file too until it becomes another program;
    /// closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Held(FileLock),
    /// It was another process's for the whole wait, whose id this is, if it said so.
    Busy(Option<u32>),
}

/// Locks a file, which is made where it is not there, with the directories above it.
///
/// # Errors
/// [`StoreError::Io`].
pub fn lock_file(path: &Path, wait: Duration) -> Result<Locked, StoreError> {
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
                return Ok(Locked::Held(FileLock(file)));
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", path)(source)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Locked::Busy(signature(&mut file)));
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether anybody holds the lock of this file, this process included. Nobody waits for the
/// question for longer than it takes.
///
/// # Errors
/// [`StoreError::Io`].
pub fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(StoreError::io("open", path)(source)),
    };
    // Closing the file takes the lock back.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
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
