//! What a private key's file tells without its passphrase.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{HostKey, SshError};

const OPENSSH_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const OPENSSH_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const OPENSSH_MAGIC: &[u8] = b"openssh-key-v1\0";

/// Whether the file's private key can be used as it is, or only with a passphrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// No passphrase.
    Open,
    /// A passphrase is needed.
    Passphrase,
}

/// Looks at a private key's file as ssh would before it uses it.
///
/// # Errors
/// [`SshError::KeyUnreadable`] for a file that cannot be read or holds no private key;
/// [`SshError::KeyTooOpen`] for one that others can read, which ssh refuses too.
pub fn inspect_identity(path: &Path) -> Result<Protection, SshError> {
    let unreadable = |reason: String| SshError::KeyUnreadable {
        path: path.to_owned(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    let ours = metadata.uid() == nix::unistd::Uid::current().as_raw();
    if ours && metadata.mode() & 0o077 != 0 {
        return Err(SshError::KeyTooOpen {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    protection(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| unreadable("it holds no private key".to_owned()))
}

/// The public half of a private key, from the file beside it or from itself; `None` where only a
/// passphrase would tell.
pub(crate) fn public_half(path: &Path) -> Option<HostKey> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let beside = fs::read_to_string(Path::new(&beside)).ok();
    let from_beside = beside.and_then(|text| text.parse().ok());
    from_beside.or_else(|| {
        let pem = fs::read_to_string(path).ok()?;
        HostKey::from_blob(&Container::parse(&openssh_blob(&pem)?)?.public)
    })
}

/// The head of an OpenSSH private key: what stands there unprotected.
struct Container {
    cipher: Vec<u8>,
    public: Vec<u8>,
}

impl Container {
    fn parse(blob: &[u8]) -> Option<Self> {
        let rest = blob.strip_prefix(OPENSSH_MAGIC)?;
        let (cipher, rest) = string(rest)?;
        let (_kdf, rest) = string(rest)?;
        let (_kdf_options, rest) = string(rest)?;
        let (_count, rest) = rest.split_first_chunk::<4>()?;
        let (public, _) = string(rest)?;
        Some(Self {
            cipher: cipher.to_owned(),
            public: public.to_owned(),
        })
    }
}

/// A length and as many bytes, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn openssh_blob(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(OPENSSH_BEGIN)?;
    let (body, _) = rest.split_once(OPENSSH_END)?;
    let encoded: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(encoded).ok()
}

fn protection(pem: &str) -> Option<Protection> {
    let protected = if pem.contains(OPENSSH_BEGIN) {
        Container::parse(&openssh_blob(pem)?)?.cipher != b"none"
    } else if pem.contains("PRIVATE KEY-----") {
        pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED")
    } else {
        return None;
    };
    Some(match protected {
        true => Protection::Passphrase,
        false => Protection::Open,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn openssh(cipher: &str) -> String {
        let mut blob = OPENSSH_MAGIC.to_vec();
        let mut add = |bytes: &[u8]| {
            blob.extend((bytes.len() as u32).to_be_bytes());
            blob.extend(bytes);
        };
        add(cipher.as_bytes());
        add(b"kdf");
        add(b"");
        blob.extend([0, 0, 0, 1]);
        blob.extend([0, 0, 0, 15, 0, 0, 0, 11]);
        blob.extend(b"ssh-ed25519");
        format!(
            "{OPENSSH_BEGIN}\n{}\n{OPENSSH_END}\n",
            STANDARD.encode(blob)
        )
    }

    #[test]
    fn tells_a_passphrase_in_every_format() {
        use Protection::{Open, Passphrase};
        let table = [
            (openssh("none"), Some(Open)),
            (openssh("aes256-ctr"), Some(Passphrase)),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n".into(), Some(Open)),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n".into(),
                Some(Passphrase),
            ),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".into(),
                Some(Passphrase),
            ),
            ("-----BEGIN PRIVATE KEY-----\n".into(), Some(Open)),
            ("ssh-ed25519 AAAA comment".into(), None),
            (String::new(), None),
        ];
        for (pem, expected) in table {
            assert_eq!(protection(&pem), expected, "{pem}");
        }
    }

    #[test]
    fn the_public_half_is_found_without_the_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        fs::write(&key, openssh("aes256-ctr")).unwrap();
        assert_eq!(public_half(&key).unwrap().algorithm(), "ssh-ed25519");
        fs::write(&key, "-----BEGIN ENCRYPTED PRIVATE KEY-----").unwrap();
        assert_eq!(public_half(&key), None);
        let beside = "ssh-rsa AAAAB3NzaC1yc2E= me@here";
        fs::write(dir.path().join("key.pub"), beside).unwrap();
        assert_eq!(public_half(&key).unwrap().algorithm(), "ssh-rsa");
    }

    #[test]
    fn a_key_that_others_read_or_that_is_absent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let absent = inspect_identity(&key).unwrap_err();
        assert!(matches!(absent, SshError::KeyUnreadable { .. }), "{absent}");

        fs::write(&key, openssh("none")).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let open = inspect_identity(&key).unwrap_err();
        assert!(
            matches!(open, SshError::KeyTooOpen { mode: 0o644, .. }),
            "{open}"
        );

        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(inspect_identity(&key).unwrap(), Protection::Open);
    }
}
