//! Copying with `scp` between machines and this one, each with its own port, key and pinned host
//! key: scp's own options know only one of each, a generated ssh_config knows them by name.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use rmachine_driver::{MachineName, SshEndpoint};
use tempfile::NamedTempFile;

use crate::options::{checked_user, quoted_path, settings};
use crate::program::find;
use crate::resolve::included_configs;
use crate::{Environment, SshError, resolve};

/// One side of a copy as a person writes it: `[[user@]machine:]path`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CopyPath {
    /// On this machine.
    Local(String),
    /// On one of ours.
    Machine {
        /// The login name, where it is not the machine's own.
        user: Option<String>,
        /// The machine.
        name: MachineName,
        /// The path there; empty for the login directory.
        path: String,
    },
}

impl CopyPath {
    /// Reads one side of a copy. What has no machine's name before its first `:` is local, so are
    /// `localhost:path` and a Windows path with its drive, `C:\path`.
    pub fn parse(text: &str) -> Self {
        let local = || Self::Local(text.to_owned());
        let Some((place, path)) = text.split_once(':') else {
            return local();
        };
        let drive = place.len() == 1 && path.starts_with('\\');
        let (user, name) = match place.rsplit_once('@') {
            Some((user, name)) => (Some(user), name),
            None => (None, place),
        };
        if drive || user.is_some_and(|user| checked_user(user).is_err()) {
            return local();
        }
        match name.parse::<MachineName>() {
            Ok(name) if name.as_str() == "localhost" => Self::Local(path.to_owned()),
            Ok(name) => Self::Machine {
                user: user.map(str::to_owned),
                name,
                path: path.to_owned(),
            },
            Err(_) => local(),
        }
    }
}

/// One side of a copy, with what is needed to reach it.
#[derive(Clone, Debug)]
pub enum CopyEnd {
    /// A path on this machine.
    Local(String),
    /// A path on one of ours.
    Machine {
        /// The machine's name, which scp's messages show.
        name: MachineName,
        /// How it is reached.
        endpoint: Box<SshEndpoint>,
        /// The login name, where it is not the endpoint's.
        user: Option<String>,
        /// The path there.
        path: String,
    },
}

/// What a copy may be told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CopyFlags {
    /// Directories with all that is in them.
    pub recursive: bool,
    /// No progress meter.
    pub quiet: bool,
}

/// An `scp` ready to run. Its settings are in a file that goes when this is dropped, so it must
/// outlive the run.
#[derive(Debug)]
pub struct Copy {
    /// The command.
    pub command: Command,
    config: NamedTempFile,
}

impl Copy {
    /// The generated ssh_config.
    pub fn config(&self) -> &std::path::Path {
        self.config.path()
    }
}

/// The `scp` that copies from one side to the other; between two machines the bytes pass through
/// here, so that neither needs to reach the other.
///
/// # Errors
/// [`SshError::NoProgram`] without scp; [`SshError::Unusable`] for what ssh cannot take; those of
/// [`resolve`].
pub async fn copy_command(
    from: &CopyEnd,
    to: &CopyEnd,
    flags: CopyFlags,
    environment: &Environment,
) -> Result<Copy, SshError> {
    let scp = find("scp", environment)?;
    let text = config(from, to, environment).await?;
    let config = tempfile::Builder::new()
        .prefix("rmachine-")
        .tempfile_in(&environment.temp_dir)
        .and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file))
        .map_err(|source| SshError::Local {
            action: format!("write into {}", environment.temp_dir.display()),
            source,
        })?;
    let mut command = Command::new(scp);
    command.arg("-F").arg(config.path()).arg("-3");
    if flags.recursive {
        command.arg("-r");
    }
    if flags.quiet {
        command.arg("-q");
    }
    command.arg("--").arg(argument(from)?).arg(argument(to)?);
    Ok(Copy { command, config })
}

async fn config(
    from: &CopyEnd,
    to: &CopyEnd,
    environment: &Environment,
) -> Result<String, SshError> {
    let mut text = String::new();
    let mut left_alone = Vec::new();
    let mut any_config = false;
    for end in [from, to] {
        let CopyEnd::Machine { name, endpoint, .. } = end else {
            continue;
        };
        text.push_str(&host_block(name, endpoint, environment).await?);
        any_config |= endpoint.use_ssh_config;
        if !endpoint.use_ssh_config {
            left_alone.push(format!("!{name}"));
        }
    }
    if any_config {
        // Jump hosts are looked up in here too.
        left_alone.push("*".to_owned());
        for include in included_configs(environment)? {
            let hosts = left_alone.join(",");
            let _ = writeln!(text, "Match originalhost {hosts}\n  Include {include}");
        }
    }
    Ok(text)
}

/// What ssh needs to know of one machine, under the machine's name.
async fn host_block(
    name: &MachineName,
    endpoint: &SshEndpoint,
    environment: &Environment,
) -> Result<String, SshError> {
    let resolved = resolve(endpoint, environment).await?;
    let mut lines = vec![
        ("HostName", resolved.host_name),
        ("Port", resolved.port.to_string()),
    ];
    lines.extend(settings(endpoint)?);
    if endpoint.identity.is_none() {
        for file in &resolved.identity_files {
            lines.push(("IdentityFile", quoted_path(file)?));
        }
    }
    if let Some(user) = &resolved.user {
        lines.push(("User", checked_user(user)?.to_owned()));
    }
    if let Some(agent) = resolved.identity_agent {
        lines.push(("IdentityAgent", agent));
    }
    if let Some(jump) = resolved.proxy_jump {
        lines.push(("ProxyJump", jump));
    } else if let Some(command) = resolved.proxy_command {
        lines.push(("ProxyCommand", command));
    }
    lines.push(("LogLevel", "ERROR".to_owned()));
    lines.push(("ControlPath", "none".to_owned()));
    let mut text = format!("Host {name}\n");
    for (key, value) in lines {
        let _ = writeln!(text, "  {key} {value}");
    }
    Ok(text)
}

fn argument(end: &CopyEnd) -> Result<String, SshError> {
    Ok(match end {
        // scp takes what is before a `:` for a host, unless a `/` comes first.
        CopyEnd::Local(path) if path.starts_with('/') || path.starts_with("./") => path.clone(),
        CopyEnd::Local(path) => format!("./{path}"),
        CopyEnd::Machine {
            name,
            user: Some(user),
            path,
            ..
        } => format!("{}@{name}:{path}", checked_user(user)?),
        CopyEnd::Machine { name, path, .. } => format!("{name}:{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_machines_from_local_paths() {
        let machine = |user: Option<&str>, name: &str, path: &str| CopyPath::Machine {
            user: user.map(str::to_owned),
            name: name.parse().unwrap(),
            path: path.to_owned(),
        };
        let local = |path: &str| CopyPath::Local(path.to_owned());
        let table = [
            ("file", local("file")),
            ("/a/b", local("/a/b")),
            ("n1:/etc/hosts", machine(None, "n1", "/etc/hosts")),
            ("n1:", machine(None, "n1", "")),
            ("n1:a:b", machine(None, "n1", "a:b")),
            ("me@n1:x y", machine(Some("me"), "n1", "x y")),
            ("localhost:/tmp/x", local("/tmp/x")),
            ("me@localhost:x", local("x")),
            ("./n1:x", local("./n1:x")),
            ("/tmp/a:b", local("/tmp/a:b")),
            (r"C:\temp\x", local(r"C:\temp\x")),
            ("c:/temp", machine(None, "c", "/temp")),
            ("a_b:x", local("a_b:x")),
            ("-oProxyCommand=x@n1:y", local("-oProxyCommand=x@n1:y")),
            (":x", local(":x")),
            ("", local("")),
        ];
        for (text, expected) in table {
            assert_eq!(CopyPath::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_local_path_is_never_an_option_or_a_host() {
        let table = [
            ("-r", "./-r"),
            ("a:b", "./a:b"),
            ("/a:b", "/a:b"),
            ("./x", "./x"),
            (".", "./."),
            ("../x", "./../x"),
        ];
        for (path, expected) in table {
            assert_eq!(argument(&CopyEnd::Local(path.into())).unwrap(), expected);
        }
    }
}
