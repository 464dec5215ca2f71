//! ssh's options for an endpoint: the one place that says how every ssh and scp is called.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use rmachine_driver::{FirstContact, SshEndpoint};

use crate::known_hosts::pinned;
use crate::{Environment, SshError};

/// After this long without a sign of life, twice more asked, a connection counts as lost.
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Which host keys a connection accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HostKeyPolicy {
    /// Any key, which is pinned.
    PinFirst,
    /// Any key, which is not pinned.
    AcceptOnce,
    /// Only the pinned keys.
    Strict,
}

impl HostKeyPolicy {
    /// Derives the policy from the pinned keys: strict as soon as there is one.
    ///
    /// # Errors
    /// [`SshError::HostKeyNotPinned`] when none is pinned and the endpoint requires one;
    /// [`SshError::Local`] when the file of pinned keys cannot be read.
    pub(crate) fn of(endpoint: &SshEndpoint) -> Result<Self, SshError> {
        let pins = pinned(&endpoint.known_hosts, &endpoint.host_key_alias)?;
        if !pins.is_empty() {
            return Ok(Self::Strict);
        }
        match endpoint.first_contact {
            FirstContact::Pin => Ok(Self::PinFirst),
            FirstContact::Accept => Ok(Self::AcceptOnce),
            FirstContact::Reject => Err(SshError::HostKeyNotPinned {
                host: endpoint.host.to_string(),
                known_hosts: endpoint.known_hosts.clone(),
            }),
        }
    }
}

/// Who answers ssh's questions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Questions {
    /// Nobody; ssh must not ask.
    Nobody,
    /// A person at the terminal.
    Person,
}

/// ssh's arguments for an endpoint, up to but without the host.
///
/// # Errors
/// [`SshError::Unusable`] for a path that ssh's own syntax cannot say.
pub(crate) fn endpoint_arguments(
    endpoint: &SshEndpoint,
    environment: &Environment,
    questions: Questions,
    connect_limit: Duration,
) -> Result<Vec<OsString>, SshError> {
    let mut arguments = config_arguments(endpoint, environment);
    for (key, value) in settings(endpoint)? {
        arguments.extend(option(key, &value));
    }
    arguments.extend(option(
        "ConnectTimeout",
        &connect_limit.as_secs().max(1).to_string(),
    ));
    arguments.extend(option(
        "ServerAliveInterval",
        &ALIVE_INTERVAL.as_secs().to_string(),
    ));
    arguments.extend(option("LogLevel", "ERROR"));
    if questions == Questions::Nobody {
        arguments.extend(option("BatchMode", "yes"));
    }
    if let Some(port) = endpoint.port {
        arguments.extend(option("Port", &port.to_string()));
    }
    if let Some(user) = &endpoint.user {
        // `-l` takes what follows as it is; a setting would be split at blanks.
        arguments.extend(["-l".into(), checked_user(user)?.into()]);
    }
    Ok(arguments)
}

/// The settings that pin the host key and choose the login key, for `-o` and for a file.
///
/// # Errors
/// [`SshError::Unusable`] for a path that ssh's own syntax cannot say.
pub(crate) fn settings(endpoint: &SshEndpoint) -> Result<Vec<(&'static str, String)>, SshError> {
    let known_hosts = quoted_path(&endpoint.known_hosts)?;
    let (strict, known_hosts) = match HostKeyPolicy::of(endpoint)? {
        HostKeyPolicy::PinFirst => ("accept-new", known_hosts),
        HostKeyPolicy::AcceptOnce => ("accept-new", "/dev/null".to_owned()),
        HostKeyPolicy::Strict => ("yes", known_hosts),
    };
    let mut settings = vec![
        ("UserKnownHostsFile", known_hosts),
        ("GlobalKnownHostsFile", "/dev/null".to_owned()),
        ("HostKeyAlias", checked_alias(&endpoint.host_key_alias)?),
        ("StrictHostKeyChecking", strict.to_owned()),
        ("UpdateHostKeys", "no".to_owned()),
        ("HashKnownHosts", "no".to_owned()),
        ("VerifyHostKeyDNS", "no".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
    ];
    if let Some(identity) = &endpoint.identity {
        settings.push(("IdentityFile", quoted_path(identity)?));
        settings.push(("IdentitiesOnly", "yes".to_owned()));
    }
    Ok(settings)
}

/// Which ssh_config applies.
pub(crate) fn config_arguments(endpoint: &SshEndpoint, environment: &Environment) -> Vec<OsString> {
    let file: &OsStr = match (&environment.ssh_config, endpoint.use_ssh_config) {
        (_, false) => OsStr::new("/dev/null"),
        (Some(file), true) => file.as_os_str(),
        (None, true) => return Vec::new(),
    };
    vec!["-F".into(), file.to_owned()]
}

/// `-o key=value`; the value is in ssh_config's syntax.
pub(crate) fn option(key: &str, value: &str) -> [OsString; 2] {
    ["-o".into(), format!("{key}={value}").into()]
}

/// A path in ssh_config's syntax, where blanks split, `%` begins a token and `${` a variable.
///
/// # Errors
/// [`SshError::Unusable`] where no quoting is understood by every OpenSSH.
pub(crate) fn quoted_path(path: &Path) -> Result<String, SshError> {
    let unusable = |reason| SshError::Unusable {
        value: path.display().to_string(),
        reason,
    };
    let text = path
        .to_str()
        .ok_or_else(|| unusable("the path is not UTF-8"))?;
    if text.contains(['"', '\\']) || text.contains("${") || text.contains(char::is_control) {
        return Err(unusable(
            "ssh cannot take a path with quotes, backslashes, \"${\" or control characters",
        ));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// A login name that no ssh or scp takes for something else.
///
/// # Errors
/// [`SshError::Unusable`] otherwise.
pub(crate) fn checked_user(user: &str) -> Result<&str, SshError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "'`\";&<>|(){}:@%$".contains(c);
    if user.is_empty() || user.starts_with('-') || user.contains(odd) {
        return Err(SshError::Unusable {
            value: user.to_owned(),
            reason: "it is no login name",
        });
    }
    Ok(user)
}

fn checked_alias(alias: &str) -> Result<String, SshError> {
    let sound = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if alias.is_empty() || !alias.chars().all(sound) {
        return Err(SshError::Unusable {
            value: alias.to_owned(),
            reason: "a host key alias has letters, digits, '.', '-' and '_' only",
        });
    }
    Ok(alias.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn endpoint() -> SshEndpoint {
        SshEndpoint {
            host: "db.example.org".parse().unwrap(),
            port: Some(2222),
            user: Some("admin".to_owned()),
            identity: Some(PathBuf::from("/my keys/100%")),
            known_hosts: PathBuf::from("/my store/known_hosts"),
            host_key_alias: "n1".to_owned(),
            first_contact: FirstContact::Pin,
            use_ssh_config: false,
            sudo_password_file: None,
        }
    }

    fn arguments(endpoint: &SshEndpoint, environment: &Environment) -> String {
        let all = endpoint_arguments(
            endpoint,
            environment,
            Questions::Nobody,
            Duration::from_secs(7),
        );
        let texts: Vec<String> = all
            .unwrap()
            .into_iter()
            .map(|a| a.into_string().unwrap())
            .collect();
        texts.join(" ")
    }

    #[test]
    fn a_host_of_our_own_sees_no_ssh_config() {
        let text = arguments(&endpoint(), &Environment::default());
        for part in [
            "-F /dev/null",
            "-o UserKnownHostsFile=\"/my store/known_hosts\"",
            "-o IdentityFile=\"/my keys/100%%\" -o IdentitiesOnly=yes",
            "-o HostKeyAlias=n1",
            "-o StrictHostKeyChecking=accept-new",
            "-o ConnectTimeout=7",
            "-o BatchMode=yes",
            "-o Port=2222",
            "-l admin",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn an_adopted_host_is_left_to_the_persons_ssh_config() {
        let adopted = SshEndpoint {
            port: None,
            user: None,
            identity: None,
            use_ssh_config: true,
            ..endpoint()
        };
        let text = arguments(&adopted, &Environment::default());
        for part in ["-F", "Identit", "Port", "-l"] {
            assert!(!text.contains(part), "{part} is in {text}");
        }
        let environment = Environment {
            ssh_config: Some(PathBuf::from("/x/config")),
            ..Environment::default()
        };
        assert!(arguments(&adopted, &environment).starts_with("-F /x/config "));
    }

    #[test]
    fn first_contact_decides_only_while_no_key_is_pinned() {
        const KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";
        let dir = tempfile::tempdir().unwrap();
        let known_hosts = dir.path().join("known_hosts");
        let policy = |first_contact| {
            HostKeyPolicy::of(&SshEndpoint {
                known_hosts: known_hosts.clone(),
                first_contact,
                ..endpoint()
            })
        };
        for content in [None, Some(""), Some("another ssh-ed25519 AAAA\n")] {
            if let Some(content) = content {
                std::fs::write(&known_hosts, content).unwrap();
            }
            assert_eq!(policy(FirstContact::Pin).unwrap(), HostKeyPolicy::PinFirst);
            let accepted = policy(FirstContact::Accept).unwrap();
            assert_eq!(accepted, HostKeyPolicy::AcceptOnce);
            let rejected = policy(FirstContact::Reject).unwrap_err();
            assert!(
                matches!(rejected, SshError::HostKeyNotPinned { .. }),
                "{rejected}"
            );
        }
        std::fs::write(&known_hosts, format!("n1 {KEY}\n")).unwrap();
        for first_contact in [
            FirstContact::Pin,
            FirstContact::Accept,
            FirstContact::Reject,
        ] {
            assert_eq!(policy(first_contact).unwrap(), HostKeyPolicy::Strict);
        }
    }

    #[test]
    fn what_ssh_would_misread_is_refused() {
        for path in ["/a\"b", "/a\nb", "/${HOME}/x", "/a\\b"] {
            assert!(quoted_path(Path::new(path)).is_err(), "{path:?}");
        }
        for user in ["", "-oProxyCommand=x", "a b", "a@b", "a;b", "$x"] {
            assert!(checked_user(user).is_err(), "{user:?}");
        }
        for user in ["root", "first.last", "DOMAIN+user", "_svc-1"] {
            assert!(checked_user(user).is_ok(), "{user:?}");
        }
        for alias in ["", "a,b", "*", "a b"] {
            assert!(checked_alias(alias).is_err(), "{alias:?}");
        }
    }
}
