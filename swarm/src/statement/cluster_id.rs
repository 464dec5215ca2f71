//! Tells statements of one cluster from those of another one with the same CA.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmachine_pki::sha256;
use rswarm_discovery::DiscoveryUrl;

use super::hex;

/// Digits of an ID that is kept in a file.
const DIGITS: usize = 64;

/// Why the ID of an embedded cluster is not available.
#[derive(Debug, thiserror::Error)]
pub enum ClusterIdError {
    /// The file cannot be read or created.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a cluster ID, expected {DIGITS} hexadecimal digits", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
}

/// Returns the ID of a cluster: a digest of what all its managers share.
///
/// That is the scheme of the discovery with the prefix in the KV store, the token or the path of the
/// file. Servers and nodes are left out, since they change. The only manager of `embedded://` keeps
/// a random ID beside its membership file.
///
/// # Errors
/// [`ClusterIdError`] when that file cannot be used.
pub fn cluster_id(
    url: &DiscoveryUrl,
    membership_file: Option<&Path>,
) -> Result<Arc<str>, ClusterIdError> {
    let (scheme, shared) = match url {
        DiscoveryUrl::Nodes(_) => ("nodes", String::new()),
        DiscoveryUrl::File(path) => ("file", path.display().to_string()),
        DiscoveryUrl::Token { token, .. } => ("token", token.clone()),
        DiscoveryUrl::Store(store) => (store.kind.scheme(), store.prefix.clone()),
        DiscoveryUrl::Embedded { .. } => {
            let kept = membership_file.map(|members| kept_id(&id_file(members)));
            ("embedded", kept.transpose()?.unwrap_or_default())
        }
    };
    let digest = sha256([scheme.as_bytes(), b"\0", shared.as_bytes()]);
    Ok(hex(&digest).into())
}

/// `/membership/members` has its ID in `/membership/members.cluster-id`.
fn id_file(members: &Path) -> PathBuf {
    let mut name = members.as_os_str().to_owned();
    name.push(".cluster-id");
    PathBuf::from(name)
}

fn kept_id(path: &Path) -> Result<String, ClusterIdError> {
    let file_error = |source| ClusterIdError::File {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            let id = text.trim();
            let is_valid = id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
            if is_valid {
                Ok(id.to_owned())
            } else {
                Err(ClusterIdError::Invalid {
                    path: path.to_owned(),
                })
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = hex(&rand::random::<[u8; 32]>());
            create(path, &id).map_err(file_error)?;
            Ok(id)
        }
        Err(error) => Err(file_error(error)),
    }
}

/// Creates the file as a whole: a crash leaves no part of an ID behind.
fn create(path: &Path, id: &str) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let partial = PathBuf::from(partial);
    let mut file = File::create(&partial)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> Arc<str> {
        cluster_id(&url.parse().unwrap(), None).unwrap()
    }

    #[test]
    fn cluster_id_is_that_of_all_managers_of_a_cluster_only() {
        for (one, other, is_same) in [
            ("etcd://10.0.0.1:2379/a", "etcd://10.0.0.2:2379/a", true),
            ("etcd://10.0.0.1:2379/a", "etcd://10.0.0.1:2379/b", false),
            ("etcd://10.0.0.1:2379/a", "consul://10.0.0.1:8500/a", false),
            ("token://abc", "token://10.0.0.1:8500/abc", true),
            ("token://abc", "token://abd", false),
            ("nodes://10.0.0.1:2376", "10.0.0.1:2376,10.0.0.2:2376", true),
            ("file:///etc/a", "file:///etc/b", false),
        ] {
            assert_eq!(id(one) == id(other), is_same, "{one} {other}");
        }
        assert!(!id("token://abcdef0123456789").contains("abcdef0123456789"));
    }

    #[test]
    fn embedded_cluster_keeps_its_id_beside_the_membership_file() {
        let dir = tempfile::tempdir().unwrap();
        let members = dir.path().join("members");
        let url = "embedded://".parse().unwrap();
        let first = cluster_id(&url, Some(&members)).unwrap();
        assert_eq!(cluster_id(&url, Some(&members)).unwrap(), first);
        let other = dir.path().join("others");
        assert_ne!(cluster_id(&url, Some(&other)).unwrap(), first);
        fs::write(dir.path().join("members.cluster-id"), "x\n").unwrap();
        let error = cluster_id(&url, Some(&members)).unwrap_err().to_string();
        assert!(error.contains("is not a cluster ID"), "{error}");
    }
}
