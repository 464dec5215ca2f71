use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::SshError;

/// One connection to a host, over which any number of commands run.
///
/// Dropping it closes the connection; dropping the future of a running command ends that command
/// on the host too.
#[async_trait]
pub trait Ssh: Send + Sync {
    /// Runs a script on the host, with nothing on its standard input.
    ///
    /// A script that ends with a status other than 0 is no error here. May be called while other
    /// calls run; a host or backend that allows one session at a time has them take turns.
    ///
    /// # Errors
    /// When the script could not be run, or its end was not seen.
    async fn run(&self, run: &Run<'_>) -> Result<Output, SshError>;

    /// Puts a file onto the host: written beside its path, complete, then renamed over it.
    ///
    /// The directory must be there. A symbolic link at the path is replaced, not followed.
    ///
    /// # Errors
    /// As [`Ssh::run`]; [`SshError::UploadFailed`] when the host could not write the file.
    async fn upload(&self, upload: &Upload<'_>) -> Result<(), SshError>;

    /// Closes the connection; commands that still run are ended.
    async fn close(&self);
}

/// A script to run.
///
/// It has no `Debug`: a script may hold private keys.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What the script does, for messages: "reading the facts".
    pub step: &'a str,
    /// The script, in POSIX sh. It travels over standard input, so its length has no limit and
    /// the host's process list does not show it.
    pub script: &'a str,
    /// As whom it runs.
    pub privilege: Privilege,
    /// How long it may take; the process on the host is ended then.
    pub limit: Duration,
}

/// A file to put onto the host.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// Where to, on the host: absolute, or from the login directory.
    pub path: &'a Path,
    /// The file's permission bits, such as `0o600`.
    pub mode: u32,
    /// What is in it.
    pub content: &'a [u8],
    /// As whom it is written.
    pub privilege: Privilege,
    /// How long it may take.
    pub limit: Duration,
}

/// As whom a command runs on the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Privilege {
    /// The login user.
    Login,
    /// Root: the login user itself where that is root, otherwise through sudo.
    Root,
}

/// How a command ended and what it wrote.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// The exit status; 128 and the signal's number where a signal ended it.
    pub status: i32,
    /// The bytes on standard output.
    pub stdout: Vec<u8>,
    /// The bytes on standard error.
    pub stderr: Vec<u8>,
}

/// The most bytes that a command may write to either stream when its output is captured.
pub(crate) const MAX_OUTPUT: usize = 32 * 1024 * 1024;

impl Output {
    /// Whether the status is 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text, without the line end.
    pub fn text(&self) -> String {
        trimmed(&self.stdout)
    }

    /// Standard error as text, without the line end.
    pub fn error_text(&self) -> String {
        trimmed(&self.stderr)
    }
}

fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
