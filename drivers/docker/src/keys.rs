use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rmachine_driver::{DriverError, MachineName};
use sha2::{Digest, Sha256};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};

/// The file names in the machine's directory.
const LOGIN_KEY: &str = "id_ed25519";
const HOST_KEY: &str = "ssh_host_ed25519_key";
const KNOWN_HOSTS: &str = "known_hosts";

/// The keys of one machine, made before the machine: the one that logs in, and the host's own,
/// so that even the first contact is verified.
pub struct MachineKeys {
    login: PublicKey,
    host: PrivateKey,
}

impl MachineKeys {
    /// Reads the keys in the machine's directory, making those that are missing, and pins the
    /// host key under the machine's name.
    pub fn ensure(directory: &Path, name: &MachineName) -> Result<Self, DriverError> {
        let login = ensure_key(&directory.join(LOGIN_KEY), name.as_str())?;
        let host = ensure_key(&directory.join(HOST_KEY), name.as_str())?;
        let pinned = format!("{name} {}\n", line(host.public_key(), directory)?);
        write(&directory.join(KNOWN_HOSTS), 0o600, pinned.as_bytes())?;
        Ok(Self {
            login: login.public_key().clone(),
            host,
        })
    }

    /// The line of `authorized_keys`.
    pub fn authorized(&self, directory: &Path) -> Result<String, DriverError> {
        Ok(line(&self.login, directory)? + "\n")
    }

    /// The host's private and public key as sshd reads them.
    pub fn host(&self, directory: &Path) -> Result<(String, String), DriverError> {
        let key = self.host.to_openssh(LineEnding::LF);
        let key = key.map_err(|e| unusable(&directory.join(HOST_KEY), e))?;
        let public = line(self.host.public_key(), directory)? + "\n";
        Ok((key.to_string(), public))
    }
}

/// The private key that logs in to the machine.
pub fn login_key(directory: &Path) -> PathBuf {
    directory.join(LOGIN_KEY)
}

/// The file that pins the machine's host key.
pub fn known_hosts(directory: &Path) -> PathBuf {
    directory.join(KNOWN_HOSTS)
}

/// A mark on what is made for the holder of the machine's login key; `None` where there is no
/// key. It moves with the store, and nobody else has it.
pub fn owner_mark(directory: &Path) -> Option<String> {
    let text = fs::read_to_string(directory.join(LOGIN_KEY)).ok()?;
    let key = PrivateKey::from_openssh(text).ok()?;
    let hash = Sha256::digest(key.public_key().to_bytes().ok()?);
    Some(hash.iter().take(16).map(|b| format!("{b:02x}")).collect())
}

fn ensure_key(path: &Path, comment: &str) -> Result<PrivateKey, DriverError> {
    match fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(|e| unusable(path, e)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(path, comment),
        Err(source) => Err(file(path, source)),
    }
}

fn make_key(path: &Path, comment: &str) -> Result<PrivateKey, DriverError> {
    let mut key =
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|e| unusable(path, e))?;
    key.set_comment(comment);
    let public = key
        .public_key()
        .to_openssh()
        .map_err(|e| unusable(path, e))?
        + "\n";
    write(&path.with_extension("pub"), 0o644, public.as_bytes())?;
    let text = key
        .to_openssh(LineEnding::LF)
        .map_err(|e| unusable(path, e))?;
    write(path, 0o600, text.as_bytes())?;
    Ok(key)
}

/// Type and key without the comment, as known_hosts and authorized_keys have it.
fn line(key: &PublicKey, directory: &Path) -> Result<String, DriverError> {
    let mut bare = key.clone();
    bare.set_comment("");
    let text = bare.to_openssh().map_err(|e| unusable(directory, e))?;
    Ok(text.trim_end().to_owned())
}

/// Writes beside and renames: a machine is never left with half a key.
fn write(path: &Path, mode: u32, content: &[u8]) -> Result<(), DriverError> {
    let beside = path.with_extension("new");
    let written = || -> io::Result<()> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        target.write_all(content)?;
        target.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|source| file(path, source))
}

fn unusable(path: &Path, error: ssh_key::Error) -> DriverError {
    file(path, io::Error::new(io::ErrorKind::InvalidData, error))
}

fn file(path: &Path, source: io::Error) -> DriverError {
    DriverError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_the_host_is_pinned() {
        let directory = tempfile::tempdir().unwrap();
        let name: MachineName = "n1".parse().unwrap();
        assert_eq!(owner_mark(directory.path()), None);
        let first = MachineKeys::ensure(directory.path(), &name).unwrap();
        let again = MachineKeys::ensure(directory.path(), &name).unwrap();
        let (_, public) = first.host(directory.path()).unwrap();
        assert_eq!(public, again.host(directory.path()).unwrap().1);
        let pinned = fs::read_to_string(known_hosts(directory.path())).unwrap();
        assert_eq!(pinned, format!("n1 {public}"));
        assert_eq!(
            first.authorized(directory.path()).unwrap(),
            again.authorized(directory.path()).unwrap()
        );
        assert!(owner_mark(directory.path()).is_some());
        let mode = fs::metadata(login_key(directory.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(login_key(directory.path()), "no key").unwrap();
        let name: MachineName = "n1".parse().unwrap();
        let error = MachineKeys::ensure(directory.path(), &name).err().unwrap();
        assert!(error.to_string().ends_with("id_ed25519"), "{error}");
        assert_eq!(
            fs::read_to_string(login_key(directory.path())).unwrap(),
            "no key"
        );
    }
}
