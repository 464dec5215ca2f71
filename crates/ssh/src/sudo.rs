//! How the login user becomes root: found out once a connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rmachine_driver::{Secret, Secrets};

use crate::SshError;
use crate::script::{Elevation, FED_NOTHING, command_line, feed_script};
use crate::transport::{Command, InputEnd, Login, Transport};

/// How commands are run as root.
pub(crate) enum Root {
    /// The login user is root.
    Already,
    /// sudo asks for nothing.
    Sudo,
    /// sudo asks for this password.
    SudoWithPassword(Secret),
}

/// Looks at uid and sudo. The trial is the very command line that is used later: a rule in sudoers
/// may allow one command and ask a password for another.
fn probe_script() -> String {
    format!(
        "if [ \"$(id -u)\" -eq 0 ]; then echo rmachine:root; exit; fi\n\
         if ! command -v sudo >/dev/null; then echo rmachine:no-sudo; exit; fi\n\
         LC_ALL=C {} </dev/null\n\
         if [ $? -eq {FED_NOTHING} ]; then echo rmachine:sudo; else echo rmachine:password; fi",
        command_line(Elevation::Sudo)
    )
}

/// Finds out how the login user becomes root, asking for a password where one is needed.
///
/// # Errors
/// [`SshError::SudoPasswordNeeded`], [`SshError::SudoRefused`], [`SshError::SudoAbsent`],
/// [`SshError::SudoPasswordFile`]; those of the transport.
pub(crate) async fn find_out<T: Transport>(
    transport: &T,
    login: &Login,
    secrets: &dyn Secrets,
    limit: Duration,
) -> Result<Root, SshError> {
    if login.user.as_deref() == Some("root") {
        return Ok(Root::Already);
    }
    let step = "finding out how to become root";
    let execute = |elevation, input, end| {
        transport.execute(Command {
            step,
            line: command_line(elevation),
            input,
            end,
            limit,
        })
    };
    let script = feed_script(&probe_script());
    let probed = execute(Elevation::None, script, InputEnd::WithTheCommand).await?;
    let verdict = probed.text();
    // Not the whole text: a login shell's start-up files may have written before.
    match verdict.rsplit("rmachine:").next() {
        Some("root") => return Ok(Root::Already),
        Some("sudo") => return Ok(Root::Sudo),
        Some("no-sudo") => {
            return Err(SshError::SudoAbsent {
                host: login.host.clone(),
            });
        }
        Some("password") => {}
        _ => {
            return Err(SshError::Protocol {
                step: step.to_owned(),
                detail: format!(
                    "the login shell did not run it as expected: {}",
                    probed.error_text()
                ),
            });
        }
    }
    let refused = |stderr: String| SshError::SudoRefused {
        host: login.host.clone(),
        stderr,
    };
    let said = probed.error_text();
    if !said.contains("password is required") {
        return Err(refused(said));
    }
    let password = match &login.sudo_password_file {
        Some(file) => read_password(file)?,
        None => secrets
            .ask(&prompt(login))
            .ok_or_else(|| SshError::SudoPasswordNeeded {
                host: login.host.clone(),
            })?,
    };
    // Nothing after the password: sudo would take it for another try.
    let input = [password.expose().as_bytes(), b"\n"].concat();
    let tried = execute(Elevation::SudoWithPassword, input, InputEnd::AfterInput).await?;
    if tried.status == FED_NOTHING {
        Ok(Root::SudoWithPassword(password))
    } else {
        Err(refused(tried.error_text()))
    }
}

fn prompt(login: &Login) -> String {
    match &login.user {
        Some(user) => format!("sudo password of {user} on {}", login.host),
        None => format!("sudo password on {}", login.host),
    }
}

/// Looks whether a file with sudo's password can be used: its first line is not empty, and nobody
/// but its owner can read it.
///
/// # Errors
/// [`SshError::SudoPasswordFile`] otherwise.
pub fn check_password_file(path: &Path) -> Result<(), SshError> {
    read_password(path).map(drop)
}

/// The first line of a password file that only its owner can read.
fn read_password(path: &Path) -> Result<Secret, SshError> {
    let unusable = |reason: String| SshError::SudoPasswordFile {
        path: path.to_owned(),
        reason,
    };
    let io_error = |error: io::Error| unusable(error.to_string());
    let file = File::open(path).map_err(io_error)?;
    let mode = file.metadata().map_err(io_error)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(unusable(format!(
            "others can read it (mode {mode:04o}, it must be 0600)"
        )));
    }
    let mut line = String::new();
    BufReader::new(file)
        .read_line(&mut line)
        .map_err(io_error)?;
    let password = Secret::new(line);
    if password.expose().is_empty() {
        return Err(unusable("its first line is empty".to_owned()));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_password_is_the_first_line_of_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let read = |content: &str, mode| {
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            read_password(&file).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(read("p w d\r\nmore\n", 0o600).unwrap(), "p w d");
        assert_eq!(read("pwd", 0o400).unwrap(), "pwd");
        for (content, mode, word) in [
            ("", 0o600, "empty"),
            ("\n", 0o600, "empty"),
            ("pwd", 0o644, "0644"),
            ("pwd", 0o640, "0640"),
        ] {
            let error = read(content, mode).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert!(!error.contains("pwd"), "{error}");
        }
        assert!(read_password(&dir.path().join("absent")).is_err());
    }
}
