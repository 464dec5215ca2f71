//! Rebooting a host over ssh, and seeing that it did.

use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, Operation, Secrets, SshEndpoint};
use rmachine_ssh::{ConnectOptions, Privilege, Run, Ssh, SshError, connect};

/// How long a host may take to go down and come up.
const LIMIT: Duration = Duration::from_secs(300);

/// How long one look or command may take.
const STEP: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// The kernel's boot, and the start of the first process: a system container reboots under a
/// kernel that goes on.
const MARK: &str = "cat /proc/sys/kernel/random/boot_id\n\
                    sed 's/.*) //' /proc/1/stat | cut -d' ' -f20";

const REBOOT: &str = "if [ -d /run/systemd/system ]; then systemctl reboot\n\
                      else shutdown -r now || reboot; fi";

/// Reboots the host and returns when the new system answers.
///
/// # Errors
/// [`DriverError::Backend`] when the host cannot be reached or does not reboot;
/// [`DriverError::Timeout`] when it does not come back.
pub(crate) async fn reboot(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    secrets: &dyn Secrets,
) -> Result<(), DriverError> {
    let ssh = connect(endpoint, options, secrets)
        .await
        .map_err(|error| failed(endpoint, error))?;
    let before = mark(&*ssh).await.map_err(|error| failed(endpoint, error))?;
    order(endpoint, &*ssh).await?;
    drop(ssh);

    let begun = Instant::now();
    let mut last = "the old system still answers".to_owned();
    while begun.elapsed() < LIMIT {
        tokio::time::sleep(PAUSE).await;
        match look(endpoint, options, secrets).await {
            Ok(now) if now != before => return Ok(()),
            Ok(_) => {}
            // On its way down and up a host turns people away before it turns deaf.
            Err(
                error @ (SshError::AuthRefused { .. }
                | SshError::TimedOut { .. }
                | SshError::Unreachable { .. }
                | SshError::ConnectionLost { .. }),
            ) => last = error.to_string(),
            Err(error) => return Err(failed(endpoint, error)),
        }
    }
    Err(DriverError::Timeout {
        waiting_for: format!("{} to come back from its reboot", endpoint.host),
        limit: LIMIT,
        last,
    })
}

async fn order(endpoint: &SshEndpoint, ssh: &dyn Ssh) -> Result<(), DriverError> {
    let run = Run {
        step: "rebooting",
        script: REBOOT,
        privilege: Privilege::Root,
        limit: STEP,
    };
    match ssh.run(&run).await {
        // A system that goes down ends the command that asked for it.
        Ok(output) if output.success() || output.status > 128 => Ok(()),
        Err(SshError::ConnectionLost { .. } | SshError::TimedOut { .. }) => Ok(()),
        Ok(output) => Err(DriverError::Backend {
            operation: Operation::Restart,
            message: format!("{} does not reboot: {}", endpoint.host, output.error_text()),
            hint: None,
            source: None,
        }),
        Err(error) => Err(failed(endpoint, error)),
    }
}

async fn look(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    secrets: &dyn Secrets,
) -> Result<String, SshError> {
    let ssh = connect(endpoint, options, secrets).await?;
    mark(&*ssh).await
}

async fn mark(ssh: &dyn Ssh) -> Result<String, SshError> {
    let run = Run {
        step: "reading the boot's id",
        script: MARK,
        privilege: Privilege::Login,
        limit: STEP,
    };
    Ok(ssh.run(&run).await?.text())
}

fn failed(endpoint: &SshEndpoint, error: SshError) -> DriverError {
    DriverError::Backend {
        operation: Operation::Restart,
        message: format!("ssh to {} failed", endpoint.host),
        hint: None,
        source: Some(Box::new(error)),
    }
}
