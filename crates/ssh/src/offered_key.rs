use rmachine_driver::{FirstContact, NoSecrets, SshEndpoint};

use crate::known_hosts::pinned;
use crate::{ConnectOptions, HostKey, SshError, connect};

/// Asks a host for its host key and trusts nothing: the key that is pinned, if any, is not looked
/// at, nothing is pinned, and no command runs. Whether the login succeeds does not matter.
///
/// # Errors
/// Those of [`connect`] when the host did not show its key.
pub async fn offered_host_key(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
) -> Result<HostKey, SshError> {
    let scratch = tempfile::Builder::new()
        .prefix("rmachine-")
        .tempdir_in(&options.environment.temp_dir)
        .map_err(|source| SshError::Local {
            action: format!("write into {}", options.environment.temp_dir.display()),
            source,
        })?;
    let endpoint = SshEndpoint {
        known_hosts: scratch.path().join("known_hosts"),
        first_contact: FirstContact::Pin,
        ..endpoint.clone()
    };
    let options = ConnectOptions {
        interactive: false,
        ..options.clone()
    };
    let connected = connect(&endpoint, &options, &NoSecrets).await;
    let offered = pinned(&endpoint.known_hosts, &endpoint.host_key_alias)?;
    match (offered.into_iter().next(), connected) {
        (Some(key), connected) => {
            if let Ok(ssh) = connected {
                ssh.close().await;
            }
            Ok(key)
        }
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(SshError::Protocol {
            step: "reading the host key".to_owned(),
            detail: format!("{} showed none", endpoint.host),
        }),
    }
}
