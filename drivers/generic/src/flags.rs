use std::path::{Path, PathBuf};

use rmachine_driver::{DriverFlag, FlagError, FlagKind, FlagValues};

use crate::settings::Settings;

/// docker-machine's flags first, under its names, then ours.
///
/// User and port have no default here, unlike docker-machine's, so that a user or port that
/// ssh_config gives for the host can be told from one that was asked for.
pub(crate) const FLAGS: &[DriverFlag] = &[
    DriverFlag {
        name: "generic-ip-address",
        env: Some("GENERIC_IP_ADDRESS"),
        kind: FlagKind::Text(""),
        help: "address, host name or ssh_config alias of the host (required)",
    },
    DriverFlag {
        name: "generic-ssh-user",
        env: Some("GENERIC_SSH_USER"),
        kind: FlagKind::Text(""),
        help: "login name [default: what ssh_config says of the host, else root]",
    },
    DriverFlag {
        name: "generic-ssh-key",
        env: Some("GENERIC_SSH_KEY"),
        kind: FlagKind::Text(""),
        help: "private key, copied into the store [default: the agent's and ssh_config's keys]",
    },
    DriverFlag {
        name: "generic-ssh-port",
        env: Some("GENERIC_SSH_PORT"),
        kind: FlagKind::Text(""),
        help: "SSH port [default: what ssh_config says of the host, else 22]",
    },
    DriverFlag {
        name: "generic-engine-port",
        env: Some("GENERIC_ENGINE_PORT"),
        kind: FlagKind::Number(2376),
        help: "port at which the engine is to listen",
    },
    DriverFlag {
        name: "generic-sudo-password-file",
        env: Some("GENERIC_SUDO_PASSWORD_FILE"),
        kind: FlagKind::Text(""),
        help: "file, private to you, whose first line is the password for sudo [default: ask]",
    },
    DriverFlag {
        name: "generic-ssh-host-key",
        env: Some("GENERIC_SSH_HOST_KEY"),
        kind: FlagKind::Text(""),
        help: "the host's public key, 'ssh-ed25519 AAAA…' [default: pin what it shows first]",
    },
];

/// Reads the flags' values; a `~/` in a path stands for this home.
///
/// # Errors
/// [`FlagError`] for a value that is missing or cannot be used.
pub(crate) fn read(flags: &FlagValues, home: Option<&Path>) -> Result<Settings, FlagError> {
    let address = flags
        .required("generic-ip-address")?
        .parse()
        .map_err(|error| invalid(flags, "generic-ip-address", &error))?;
    let ssh_port = match flags.text("generic-ssh-port") {
        Some(text) => Some(text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            invalid(
                flags,
                "generic-ssh-port",
                &"a port is a number from 1 to 65535",
            )
        })?),
        None => None,
    };
    let host_key = match flags.text("generic-ssh-host-key") {
        Some(text) => Some(
            text.parse()
                .map_err(|error| invalid(flags, "generic-ssh-host-key", &error))?,
        ),
        None => None,
    };
    let engine_port: u16 = flags.number("generic-engine-port")?;
    if engine_port == 0 {
        return Err(FlagError::Invalid {
            flag: "generic-engine-port",
            value: engine_port.to_string(),
            reason: "clients must know the port: it cannot be 0".to_owned(),
        });
    }
    let file = |name: &'static str| {
        let path = flags.text(name).map(|text| absolute(text, home));
        path.transpose()
            .map_err(|error| invalid(flags, name, &error))
    };
    Ok(Settings {
        ssh_host: address,
        address: None,
        ssh_user: flags.text("generic-ssh-user").map(str::to_owned),
        ssh_port,
        given_key: file("generic-ssh-key")?,
        kept_key: None,
        engine_port,
        sudo_password_file: file("generic-sudo-password-file")?,
        host_key,
        through_proxy: false,
    })
}

fn invalid(flags: &FlagValues, flag: &'static str, reason: &dyn ToString) -> FlagError {
    FlagError::Invalid {
        flag,
        value: flags.text(flag).unwrap_or_default().to_owned(),
        reason: reason.to_string(),
    }
}

fn absolute(text: &str, home: Option<&Path>) -> std::io::Result<PathBuf> {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        // The shell expands `~` only at the beginning of a word: not in `--flag=~/key`.
        _ => std::path::absolute(text),
    }
}

#[cfg(test)]
mod tests {
    use rmachine_driver::FlagValue;

    use super::*;

    fn with(values: &[(&str, &str)]) -> Result<Settings, FlagError> {
        let mut flags = FlagValues::defaults(FLAGS);
        flags.set("generic-ip-address", FlagValue::Text("10.0.0.1".into()));
        for (name, value) in values {
            flags.set(*name, FlagValue::Text((*value).to_owned()));
        }
        read(&flags, Some(Path::new("/home/me")))
    }

    #[test]
    fn what_is_not_given_is_left_open() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.ssh_host.to_string(), "10.0.0.1");
        assert_eq!((settings.ssh_user, settings.ssh_port), (None, None));
        assert_eq!(settings.engine_port, 2376);
        assert_eq!(settings.given_key, None);
    }

    #[test]
    fn hosts_and_paths_come_in_every_form() {
        for host in [
            "10.0.0.1",
            "fd00::1",
            "[fd00::1]",
            "db.example.org",
            "alias",
        ] {
            assert!(with(&[("generic-ip-address", host)]).is_ok(), "{host}");
        }
        for (given, expected) in [
            ("~/.ssh/id", "/home/me/.ssh/id"),
            ("/keys/~/x", "/keys/~/x"),
            ("/keys/two words", "/keys/two words"),
        ] {
            let settings = with(&[("generic-ssh-key", given)]).unwrap();
            assert_eq!(settings.given_key, Some(PathBuf::from(expected)));
        }
        let relative = with(&[("generic-sudo-password-file", "pw")]).unwrap();
        assert!(relative.sudo_password_file.unwrap().is_absolute());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_flag() {
        for (flag, value) in [
            ("generic-ip-address", "tcp://10.0.0.1"),
            ("generic-ip-address", "-oProxyCommand=x"),
            ("generic-ssh-port", "0"),
            ("generic-ssh-port", "65536"),
            ("generic-ssh-port", "ssh"),
            ("generic-ssh-host-key", "ssh-ed25519"),
            ("generic-ssh-host-key", "SHA256:abc"),
        ] {
            let error = with(&[(flag, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--{flag}: ")), "{error}");
        }
        let missing = with(&[("generic-ip-address", "")]).unwrap_err();
        assert_eq!(missing.to_string(), "--generic-ip-address is required");
    }
}
