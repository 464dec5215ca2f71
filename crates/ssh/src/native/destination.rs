use std::path::{Path, PathBuf};
use std::time::Duration;

use rmachine_driver::SshEndpoint;

use crate::options::HostKeyPolicy;
use crate::{ConnectOptions, ResolvedEndpoint, SshError, UnreachableReason};

/// Where to log in, as whom and with what; everything the thread needs.
pub(super) struct Destination {
    pub(super) host: String,
    pub(super) user: String,
    pub(super) identity: Option<PathBuf>,
    /// Keys to try where no identity is given.
    pub(super) default_identities: Vec<PathBuf>,
    pub(super) agent_socket: Option<PathBuf>,
    pub(super) host_name: String,
    pub(super) port: u16,
    pub(super) known_hosts: PathBuf,
    pub(super) alias: String,
    pub(super) host_keys: HostKeyPolicy,
    pub(super) limit: Duration,
}

impl Destination {
    /// # Errors
    /// [`SshError::NeedsSystemSsh`] where the way leads through another host.
    pub(super) fn new(
        endpoint: &SshEndpoint,
        host_keys: HostKeyPolicy,
        resolved: ResolvedEndpoint,
        options: &ConnectOptions,
    ) -> Result<Self, SshError> {
        let missing = |feature: &str| {
            Err(SshError::NeedsSystemSsh {
                feature: feature.to_owned(),
            })
        };
        if resolved.proxy_jump.is_some() {
            return missing("ProxyJump");
        }
        if resolved.proxy_command.is_some() {
            return missing("ProxyCommand");
        }
        let environment = &options.environment;
        let user = resolved.user.or_else(local_user).unwrap_or_default();
        let default_identities = match resolved.identity_files.is_empty() {
            false => resolved.identity_files,
            true => default_identities(environment.home.as_deref()),
        };
        Ok(Self {
            host: endpoint.host.to_string(),
            user,
            identity: endpoint.identity.clone(),
            default_identities,
            agent_socket: agent_socket(resolved.identity_agent, environment.agent_socket.clone()),
            host_name: resolved.host_name,
            port: resolved.port,
            known_hosts: endpoint.known_hosts.clone(),
            alias: endpoint.host_key_alias.clone(),
            host_keys,
            limit: options.limit,
        })
    }

    /// The error of a host that is not reached.
    pub(super) fn unreachable(&self, reason: UnreachableReason, detail: impl ToString) -> SshError {
        SshError::Unreachable {
            host: self.host.clone(),
            reason,
            detail: detail.to_string(),
        }
    }
}

fn local_user() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current());
    user.ok().flatten().map(|user| user.name)
}

fn default_identities(home: Option<&Path>) -> Vec<PathBuf> {
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
    home.map(|home| names.map(|name| home.join(".ssh").join(name)).into())
        .unwrap_or_default()
}

/// ssh_config may name another agent, none, or the usual one by its variable's name.
fn agent_socket(configured: Option<String>, usual: Option<PathBuf>) -> Option<PathBuf> {
    match configured.as_deref() {
        None | Some("SSH_AUTH_SOCK" | "$SSH_AUTH_SOCK") => usual,
        Some(path) => Some(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_that_ssh_config_names_wins() {
        let usual = Some(PathBuf::from("/usual"));
        assert_eq!(agent_socket(None, usual.clone()), usual);
        assert_eq!(
            agent_socket(Some("SSH_AUTH_SOCK".into()), usual.clone()),
            usual
        );
        let other = agent_socket(Some("/other".into()), usual);
        assert_eq!(other, Some(PathBuf::from("/other")));
    }
}
