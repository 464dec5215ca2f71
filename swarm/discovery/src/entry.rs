use std::fmt;
use std::str::FromStr;

/// A node as stores keep it: `host:port`, where the host is a name, an IPv4 address, or an IPv6
/// address in brackets.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    host: String,
    port: u16,
}

/// Maximum length of a host name (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// Characters of an invalid entry that an error shows.
const MAX_SHOWN: usize = 64;

/// Why a text is no [`Entry`]. The text is escaped and shortened: it may come from anybody.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidEntry {
    /// There is no colon before a port.
    #[error(
        "address {0}: missing port in address, please check you are using the correct discovery \
         (missing token:// ?)"
    )]
    NoPort(String),
    /// The port is none from 1 to 65535.
    #[error("address {0}: the port is not one from 1 to 65535")]
    Port(String),
    /// The host is empty, or has characters that no host has.
    #[error("address {0}: the host is no name and no address")]
    Host(String),
}

impl Entry {
    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Entry {
    type Err = InvalidEntry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let no_port = || InvalidEntry::NoPort(printable(text));
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            None if is_host(host) => host,
            // An address of version 6 without brackets ends in no port.
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => return Err(no_port()),
            _ => return Err(InvalidEntry::Host(printable(text))),
        };
        // Rust's numbers may have a plus before them; ports have none.
        let port = port.strip_prefix('+').map_or(port.parse().ok(), |_| None);
        let port = port.filter(|port| *port > 0);
        Ok(Self {
            host: host.to_owned(),
            port: port.ok_or_else(|| InvalidEntry::Port(printable(text)))?,
        })
    }
}

fn printable(text: &str) -> String {
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    shown.escape_debug().to_string()
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= MAX_HOST
        && !host.starts_with('-')
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for text in [
            "10.0.0.1:2375",
            "node-1.example:1",
            "[fd00::1]:65535",
            "a_b:2376",
        ] {
            let entry: Entry = text.parse().unwrap();
            assert_eq!(entry.to_string(), text);
        }
        let entry: Entry = " h:1\n".parse().unwrap();
        assert_eq!((entry.host(), entry.port()), ("h", 1));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Entry>().unwrap_err();
        for text in ["", "h", "0123456789abcdef", "fd00::1"] {
            assert!(matches!(error(text), InvalidEntry::NoPort(_)), "{text}");
        }
        for text in ["h:", "h:0", "h:65536", "h:x", "[::1]:-1"] {
            assert!(matches!(error(text), InvalidEntry::Port(_)), "{text}");
        }
        for text in [":1", "a b:1", "[x]:1", "h/:1", "-h:1", "[::1:1"] {
            assert!(matches!(error(text), InvalidEntry::Host(_)), "{text}");
        }
    }

    #[test]
    fn error_shows_no_control_characters_and_little_text() {
        let long = format!("{}:1", "a".repeat(MAX_HOST + 1));
        let longest = format!("{}:1", "a".repeat(MAX_HOST));
        longest.parse::<Entry>().unwrap();
        for text in [long.as_str(), "\u{1b}[2J:1", "h:\u{1b}[2J"] {
            let error = text.parse::<Entry>().unwrap_err().to_string();
            assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_entry_or_none(text in ".{0,40}") {
            if let Ok(entry) = text.parse::<Entry>() {
                prop_assert_eq!(entry.to_string().parse(), Ok(entry));
            }
        }
    }
}
