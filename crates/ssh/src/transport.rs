//! What a backend is, and what it is asked.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Output, SshError};

/// A connection that runs command lines: what a backend is.
#[async_trait]
pub(crate) trait Transport: Send + Sync {
    /// Runs a command line in a session of its own.
    async fn execute(&self, command: Command<'_>) -> Result<Output, SshError>;

    /// Closes the connection.
    async fn close(&self);
}

/// A command line and what it is fed.
pub(crate) struct Command<'a> {
    /// What it does, for messages.
    pub(crate) step: &'a str,
    /// The command line, for the login shell.
    pub(crate) line: String,
    /// What it finds on standard input.
    pub(crate) input: Vec<u8>,
    /// When its standard input ends.
    pub(crate) end: InputEnd,
    /// How long it may take.
    pub(crate) limit: Duration,
}

/// When a command's standard input ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InputEnd {
    /// After the input.
    AfterInput,
    /// When the command has ended, or nobody waits for it any more.
    WithTheCommand,
}

/// Who is logged in where, for messages and for becoming root.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// The host, as it was given.
    pub(crate) host: String,
    /// The login name, where it is known.
    pub(crate) user: Option<String>,
    /// The file with sudo's password.
    pub(crate) sudo_password_file: Option<PathBuf>,
}
