//! What both backends have in common: scripts, uploads and root over any transport.

use std::time::Duration;

use async_trait::async_trait;
use rmachine_driver::Secrets;
use tokio::sync::OnceCell;

use crate::script::{Elevation, command_line, feed_script, feed_upload};
use crate::sudo::{self, Root};
use crate::transport::{Command, InputEnd, Login, Transport};
use crate::{Output, Privilege, Run, Ssh, SshError, Upload};

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
