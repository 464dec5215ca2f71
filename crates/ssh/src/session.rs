//! What both backends have in common: scripts, uploads and root over any transport.

use std::time::Duration;

use async_trait::async_trait;
use rmachine_driver::Secrets;
use tokio::sync::OnceCell;

use crate::script::{Elevation, command_line, feed_script, feed_upload};
use crate::sudo::{self, Root};
use crate::{Output, Privilege, Run, Ssh, SshError, Upload};

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
    pub(crate) sudo_password_file: Option<std::path::PathBuf>,
}

/// An [`Ssh`] over a transport.
pub(crate) struct Session<'a, T> {
    transport: T,
    login: Login,
    secrets: &'a dyn Secrets,
    root: OnceCell<Root>,
}

impl<'a, T: Transport> Session<'a, T> {
    pub(crate) fn new(transport: T, login: Login, secrets: &'a dyn Secrets) -> Self {
        Self {
            transport,
            login,
            secrets,
            root: OnceCell::new(),
        }
    }

    /// Runs what reads `input`, as whom it is to run.
    async fn execute(
        &self,
        privilege: Privilege,
        step: &str,
        input: Vec<u8>,
        end: InputEnd,
        limit: Duration,
    ) -> Result<Output, SshError> {
        let root = match privilege {
            Privilege::Login => &Root::Already,
            Privilege::Root => {
                let find_out = || sudo::find_out(&self.transport, &self.login, self.secrets, limit);
                self.root.get_or_try_init(find_out).await?
            }
        };
        let (elevation, input) = match root {
            Root::Already => (Elevation::None, input),
            Root::Sudo => (Elevation::Sudo, input),
            Root::SudoWithPassword(password) => {
                let first_line = [password.expose().as_bytes(), b"\n"].concat();
                (Elevation::SudoWithPassword, [first_line, input].concat())
            }
        };
        let command = Command {
            step,
            line: command_line(elevation),
            input,
            end,
            limit,
        };
        self.transport.execute(command).await
    }
}

#[async_trait]
impl<T: Transport> Ssh for Session<'_, T> {
    async fn run(&self, run: &Run<'_>) -> Result<Output, SshError> {
        let input = feed_script(run.script);
        let end = InputEnd::WithTheCommand;
        self.execute(run.privilege, run.step, input, end, run.limit)
            .await
    }

    async fn upload(&self, upload: &Upload<'_>) -> Result<(), SshError> {
        let step = format!("writing {}", upload.path.display());
        let input = feed_upload(upload.path, upload.mode, upload.content)?;
        let end = InputEnd::AfterInput;
        let output = self
            .execute(upload.privilege, &step, input, end, upload.limit)
            .await?;
        if output.success() {
            Ok(())
        } else {
            Err(SshError::UploadFailed {
                path: upload.path.to_owned(),
                stderr: output.error_text(),
            })
        }
    }

    async fn close(&self) {
        self.transport.close().await;
    }
}
