//! What the person's ssh_config makes of a host, by asking `ssh -G`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rmachine_driver::SshEndpoint;
use tokio::process::Command;

use crate::options::{checked_user, quoted_path};
use crate::program::find;
use crate::{Environment, SshError};

/// `ssh -G` reads files only; a `Match exec` of the person's may take its time.
const LIMIT: Duration = Duration::from_secs(10);

/// Read last, so that it shows whether the ssh_config names a user at all.
const NO_USER: &str = "rmachine-no-user-set";

/// Where an endpoint leads once ssh_config has had its say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResolvedEndpoint {
    /// The host name or address that is dialled.
    pub host_name: String,
    /// The port that is dialled.
    pub port: u16,
    /// The login name, where the endpoint or ssh_config gives one.
    pub user: Option<String>,
    /// The private keys that would be tried, in order, whether they exist or not.
    pub identity_files: Vec<PathBuf>,
    /// The jump hosts, where the way leads through some.
    pub proxy_jump: Option<String>,
    /// The command whose standard input and output are the connection, where there is one.
    pub proxy_command: Option<String>,
    /// The agent's socket, where ssh_config names another one.
    pub identity_agent: Option<String>,
}

impl ResolvedEndpoint {
    /// Whether the host itself is not dialled from here.
    pub fn through_proxy(&self) -> bool {
        self.proxy_jump.is_some() || self.proxy_command.is_some()
    }
}

/// Resolves an endpoint through ssh_config.
///
/// Without an `ssh` program, or where the endpoint leaves ssh_config out, these are the endpoint's
/// own values with ssh's defaults.
///
/// # Errors
/// When `ssh -G` fails: ssh_config has a mistake in it.
pub async fn resolve(
    endpoint: &SshEndpoint,
    environment: &Environment,
) -> Result<ResolvedEndpoint, SshError> {
    let ssh = match find("ssh", environment) {
        Ok(ssh) if endpoint.use_ssh_config => ssh,
        _ => return Ok(unconfigured(endpoint)),
    };
    let config = sources(environment)?;
    let mut command = Command::new(ssh);
    command.arg("-F").arg(config.path()).arg("-G");
    if let Some(user) = &endpoint.user {
        command.args(["-l", checked_user(user)?]);
    }
    if let Some(port) = endpoint.port {
        command.args(["-p", &port.to_string()]);
    }
    command
        .arg(endpoint.host.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let step = "reading ssh_config";
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| SshError::TimedOut {
            step: step.to_owned(),
            limit: LIMIT,
        })?
        .map_err(|source| SshError::Local {
            action: "start ssh".to_owned(),
            source,
        })?;
    if !output.status.success() {
        return Err(SshError::Protocol {
            step: step.to_owned(),
            detail: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut resolved = parse(&text, environment.home.as_deref());
    if resolved.host_name.is_empty() {
        resolved.host_name = endpoint.host.to_string();
    }
    if let Some(identity) = &endpoint.identity {
        resolved.identity_files = vec![identity.clone()];
    }
    Ok(resolved)
}

/// The files that `config` of the person and of the system stand for, in one file of ours.
fn sources(environment: &Environment) -> Result<tempfile::NamedTempFile, SshError> {
    let mut text = String::new();
    for include in included_configs(environment)? {
        text.push_str(&format!("Match all\nInclude {include}\n"));
    }
    text.push_str(&format!("Match all\nUser {NO_USER}\n"));
    let written = tempfile::Builder::new()
        .prefix("rmachine-")
        .tempfile_in(&environment.temp_dir)
        .and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
    written.map_err(|source| SshError::Local {
        action: format!("write into {}", environment.temp_dir.display()),
        source,
    })
}

/// What a generated ssh_config includes so that the person's own applies.
pub(crate) fn included_configs(environment: &Environment) -> Result<Vec<String>, SshError> {
    match &environment.ssh_config {
        Some(file) => Ok(vec![quoted_path(file)?]),
        None => Ok(vec![
            "~/.ssh/config".to_owned(),
            "/etc/ssh/ssh_config".to_owned(),
        ]),
    }
}

fn unconfigured(endpoint: &SshEndpoint) -> ResolvedEndpoint {
    ResolvedEndpoint {
        host_name: endpoint.host.to_string(),
        port: endpoint.port.unwrap_or(22),
        user: endpoint.user.clone(),
        identity_files: endpoint.identity.iter().cloned().collect(),
        ..ResolvedEndpoint::default()
    }
}

fn parse(text: &str, home: Option<&Path>) -> ResolvedEndpoint {
    let mut resolved = ResolvedEndpoint {
        port: 22,
        ..ResolvedEndpoint::default()
    };
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else {
            continue;
        };
        let given = || Some(value.to_owned()).filter(|value| value != "none");
        match key {
            "hostname" => resolved.host_name = value.to_owned(),
            "port" => resolved.port = value.parse().unwrap_or(22),
            "user" => resolved.user = given().filter(|user| user != NO_USER),
            "identityfile" => resolved.identity_files.push(expand(value, home)),
            "proxyjump" => resolved.proxy_jump = given(),
            "proxycommand" => resolved.proxy_command = given(),
            "identityagent" => resolved.identity_agent = given(),
            _ => {}
        }
    }
    resolved
}

fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ssh_prints() {
        let text = "host db\nuser admin\nhostname 10.1.2.3\nport 2222\nidentityfile ~/.ssh/id_db\n\
                    identityfile /keys/two words\nproxyjump jump.example.org\nproxycommand none\n";
        let resolved = parse(text, Some(Path::new("/home/me")));
        assert_eq!(
            resolved,
            ResolvedEndpoint {
                host_name: "10.1.2.3".into(),
                port: 2222,
                user: Some("admin".into()),
                identity_files: vec!["/home/me/.ssh/id_db".into(), "/keys/two words".into()],
                proxy_jump: Some("jump.example.org".into()),
                proxy_command: None,
                identity_agent: None,
            }
        );
        assert!(resolved.through_proxy());
    }

    #[test]
    fn a_user_that_no_config_names_is_none() {
        let text = format!("hostname h\nuser {NO_USER}\nport 22\n");
        assert_eq!(parse(&text, None).user, None);
    }
}
