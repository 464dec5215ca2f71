//! The machine's own known_hosts file: OpenSSH's format, plain names, one alias.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use crate::SshError;

/// A host's public key, as a line of known_hosts or of a `.pub` file holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostKey {
    algorithm: String,
    blob: Vec<u8>,
}

impl HostKey {
    /// The key in this wire format, which names its own algorithm; `None` where it does not.
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let name = rest.get(..u32::from_be_bytes(*length) as usize)?;
        let algorithm = std::str::from_utf8(name).ok()?;
        let sound = !algorithm.is_empty() && algorithm.bytes().all(|b| b.is_ascii_graphic());
        sound.then(|| Self {
            algorithm: algorithm.to_owned(),
            blob: blob.to_owned(),
        })
    }

    /// The name of its algorithm: `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key in wire format.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Its fingerprint as `ssh-keygen -l` shows it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            STANDARD_NO_PAD.encode(Sha256::digest(&self.blob))
        )
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, STANDARD.encode(&self.blob))
    }
}

impl FromStr for HostKey {
    type Err = InvalidHostKey;

    /// Reads `algorithm base64`; a comment after it is ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHostKey(text.to_owned());
        let mut words = text.split_ascii_whitespace();
        let (Some(algorithm), Some(encoded)) = (words.next(), words.next()) else {
            return Err(invalid());
        };
        let blob = STANDARD.decode(encoded).map_err(|_| invalid())?;
        Self::from_blob(&blob)
            .filter(|key| key.algorithm == algorithm)
            .ok_or_else(invalid)
    }
}

/// The text is no public key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a public host key such as \"ssh-ed25519 AAAAC3…\"")]
pub struct InvalidHostKey(pub String);

/// The keys pinned for an alias; none where there is no such file.
///
/// # Errors
/// When the file cannot be read.
pub fn pinned(known_hosts: &Path, alias: &str) -> Result<Vec<HostKey>, SshError> {
    match fs::read_to_string(known_hosts) {
        Ok(text) => Ok(keys_of(&text, alias)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(SshError::Local {
            action: format!("read {}", known_hosts.display()),
            source,
        }),
    }
}

/// Pins a host's key, beside those already pinned for the alias.
///
/// # Errors
/// When the file cannot be read or written.
pub fn pin(known_hosts: &Path, alias: &str, key: &HostKey) -> Result<(), SshError> {
    if pinned(known_hosts, alias)?.contains(key) {
        return Ok(());
    }
    // One short append: a second program that pins at the same time cannot tear the line.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(known_hosts)
        .and_then(|mut file| file.write_all(format!("{alias} {key}\n").as_bytes()))
        .map_err(|source| SshError::Local {
            action: format!("write {}", known_hosts.display()),
            source,
        })
}

/// Pins a host's key in place of those that are pinned for the alias.
///
/// # Errors
/// When the file cannot be read or written; the old keys then stay pinned.
pub fn replace_pin(known_hosts: &Path, alias: &str, key: &HostKey) -> Result<(), SshError> {
    let local = |action: &str| {
        let action = format!("{action} {}", known_hosts.display());
        move |source| SshError::Local { action, source }
    };
    let text = match fs::read_to_string(known_hosts) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(local("read")(source)),
    };
    let others = text.lines().filter(|line| keys_of(line, alias).is_empty());
    let mut replaced: String = others.map(|line| format!("{line}\n")).collect();
    replaced.push_str(&format!("{alias} {key}\n"));
    let dir = known_hosts.parent().unwrap_or(Path::new("."));
    let write = || {
        // Created with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(replaced.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(known_hosts).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(local("write"))
}

fn keys_of(text: &str, alias: &str) -> Vec<HostKey> {
    text.lines()
        .filter_map(|line| line.trim().split_once([' ', '\t']))
        .filter(|(names, _)| names.split(',').any(|name| name == alias))
        .filter_map(|(_, key)| key.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";

    #[test]
    fn a_key_line_reads_back_as_itself() {
        let key: HostKey = format!("{KEY} root@host").parse().unwrap();
        assert_eq!(key.algorithm(), "ssh-ed25519");
        assert_eq!(key.to_string(), KEY);
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(key.fingerprint().len(), "SHA256:".len() + 43);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let other_algorithm = KEY.replacen("ssh-ed25519", "ssh-rsa", 1);
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 ???",
            "ssh-ed25519 AAAA",
            &other_algorithm,
        ] {
            assert!(bad.parse::<HostKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_aliases_own_lines_count() {
        let text =
            format!("# made by hand\n\nother {KEY}\nn1,10.0.0.1 {KEY} c\n@revoked n1 {KEY}\nn1 x");
        assert_eq!(keys_of(&text, "n1").len(), 1);
        assert_eq!(keys_of(&text, "10.0.0.1").len(), 1);
        assert_eq!(keys_of(&text, "n").len(), 0);
    }

    #[test]
    fn replace_pin_keeps_only_other_aliases() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let key: HostKey = KEY.parse().unwrap();
        replace_pin(&file, "n1", &key).unwrap();
        assert_eq!(pinned(&file, "n1").unwrap(), std::slice::from_ref(&key));

        let old = "ssh-rsa AAAAB3NzaC1yc2E=";
        fs::write(&file, format!("# comment\nn1 {old}\nother {old}\n")).unwrap();
        replace_pin(&file, "n1", &key).unwrap();
        assert_eq!(pinned(&file, "n1").unwrap(), [key]);
        assert_eq!(pinned(&file, "other").unwrap().len(), 1);
    }

    #[test]
    fn pinning_twice_writes_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let key: HostKey = KEY.parse().unwrap();
        assert_eq!(pinned(&file, "n1").unwrap(), []);
        pin(&file, "n1", &key).unwrap();
        pin(&file, "n1", &key).unwrap();
        assert_eq!(pinned(&file, "n1").unwrap(), [key]);
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("n1 {KEY}\n"));
    }
}
