use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a host is reached: an IP address or a host name.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostAddress {
    /// An IPv4 or IPv6 literal.
    Ip(IpAddr),
    /// A DNS name, or a `Host` alias of the user's ssh_config.
    Name(String),
}

impl HostAddress {
    /// The address as it stands before `:port` in a URL: IPv6 literals in brackets.
    pub fn in_url(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            other => other.to_string(),
        }
    }

    /// The IP literal, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl FromStr for HostAddress {
    type Err = InvalidHostAddress;

    /// Reads an IPv4 literal, an IPv6 literal with or without brackets, or a host name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(ip) = bracketed.and_then(|t| t.parse::<Ipv6Addr>().ok()) {
            return Ok(Self::Ip(IpAddr::V6(ip)));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 253 && text.chars().all(allowed) {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(InvalidHostAddress(text.to_owned()))
        }
    }
}

impl TryFrom<String> for HostAddress {
    type Error = InvalidHostAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// The text is neither an IP address nor a host name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a host name")]
pub struct InvalidHostAddress(pub String);

/// What to do at a connection when no host key is pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FirstContact {
    /// Pin the key that the host shows: a machine that is being created or was just imported.
    Pin,
    /// Accept the key that the host shows without pinning it, as dry runs do.
    Accept,
    /// Reject the host: the machine was connected to before, so its pin was lost or removed.
    Reject,
}

/// Where and as whom a machine is reached over SSH.
///
/// What is `None` is left to the user's ssh_config, then to ssh's own defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshEndpoint {
    /// Host name, address or ssh_config alias.
    pub host: HostAddress,
    /// TCP port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Private key; with one, no other key is offered.
    pub identity: Option<PathBuf>,
    /// The machine's own known_hosts file: it pins the host key, under `host_key_alias`.
    pub known_hosts: PathBuf,
    /// The name under which the key is pinned: the machine's, so that a moved address keeps it.
    pub host_key_alias: String,
    /// What to do while `known_hosts` pins no key.
    pub first_contact: FirstContact,
    /// Whether the user's ssh_config applies (adopted hosts) or not (hosts a driver made).
    pub use_ssh_config: bool,
    /// A file whose first line is the password for sudo.
    pub sudo_password_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_literals_and_names() {
        let shown = |text: &str| text.parse::<HostAddress>().map(|a| a.in_url());
        assert_eq!(shown("10.0.0.1").unwrap(), "10.0.0.1");
        assert_eq!(shown("fd00::1").unwrap(), "[fd00::1]");
        assert_eq!(shown("[fd00::1]").unwrap(), "[fd00::1]");
        assert_eq!(shown("db.example.org").unwrap(), "db.example.org");
        assert_eq!(shown("my_alias").unwrap(), "my_alias");
    }

    #[test]
    fn refuses_options_and_urls() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "tcp://h",
            "h:22",
            "a b",
            "a;b",
            "[h]",
        ] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad:?}");
        }
    }
}
