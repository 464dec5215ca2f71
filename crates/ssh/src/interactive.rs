use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use rmachine_driver::SshEndpoint;

use crate::options::{Questions, endpoint_arguments, option};
use crate::program::find;
use crate::{Environment, SshError};

const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// The `ssh` that gives a person a shell on the host or runs their command there, with the same
/// host key, login and key as [`crate::connect`].
///
/// `arguments` go to ssh after the host, as they are: its own options (`-t`, `-L …`), then the
/// command, which `--` may precede. The terminal, the exit status and everything else is ssh's.
///
/// # Errors
/// [`SshError::NoProgram`] without ssh; [`SshError::Unusable`] for a path ssh cannot take.
pub fn interactive_command(
    endpoint: &SshEndpoint,
    environment: &Environment,
    arguments: &[OsString],
) -> Result<Command, SshError> {
    let mut command = Command::new(find("ssh", environment)?);
    command
        .args(option("ControlMaster", "no"))
        .args(option("ControlPath", "none"))
        .args(endpoint_arguments(
            endpoint,
            environment,
            Questions::Person,
            CONNECT_LIMIT,
        )?)
        .arg(endpoint.host.to_string())
        .args(arguments);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_persons_arguments_come_last_and_unchanged() {
        let environment = Environment {
            search_path: Some("/usr/bin:/bin".into()),
            ..Environment::default()
        };
        let endpoint = SshEndpoint {
            host: "10.0.0.1".parse().unwrap(),
            port: Some(22),
            user: Some("root".to_owned()),
            identity: None,
            known_hosts: PathBuf::from("/store/known_hosts"),
            host_key_alias: "n1".to_owned(),
            use_ssh_config: false,
            sudo_password_file: None,
        };
        let given: Vec<OsString> = ["-t", "--", "echo", "a b", "-x"].map(Into::into).into();
        let command = match interactive_command(&endpoint, &environment, &given) {
            Err(SshError::NoProgram { .. }) => {
                return rmachine_test_support::skip("there is no ssh program");
            }
            made => made.unwrap(),
        };
        let all: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        assert!(all.ends_with(&[&["10.0.0.1".into()][..], &given].concat()));
        assert!(!all.contains(&"BatchMode=yes".into()));
    }
}
