use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rmachine_driver::{DriverError, MachineName};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use crate::failure::file;

/// The file names in the machine's directory: ours, and docker-machine's.
const LOGIN_KEY: &str = "id_ed25519";
const OLD_LOGIN_KEY: &str = "id_rsa";
const KNOWN_HOSTS: &str = "known_hosts";

/// The private key of a new machine.
pub fn login_key(directory: &Path) -> PathBuf {
    directory.join(LOGIN_KEY)
}

/// The private key of a machine whose record names none.
pub fn old_login_key(directory: &Path) -> PathBuf {
    directory.join(OLD_LOGIN_KEY)
}

/// The file that pins the machine's host key.
pub fn known_hosts(directory: &Path) -> PathBuf {
    directory.join(KNOWN_HOSTS)
}

/// The line of `authorized_keys` that lets this private key in; the key is made where it is
/// missing.
pub fn authorized(path: &Path, name: &MachineName) -> Result<String, DriverError> {
    let key = match fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(|e| unusable(path, e))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, name)?,
        Err(source) => return Err(file(path, source)),
    };
    let line = key.public_key().to_openssh();
    Ok(line.map_err(|e| unusable(path, e))? + "\n")
}

fn make(path: &Path, name: &MachineName) -> Result<PrivateKey, DriverError> {
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519);
    let mut key = key.map_err(|e| unusable(path, e))?;
    key.set_comment(name.as_str());
    let public = key.public_key().to_openssh();
    let public = public.map_err(|e| unusable(path, e))? + "\n";
    write(&path.with_extension("pub"), 0o644, public.as_bytes())?;
    let text = key.to_openssh(LineEnding::LF);
    let text = text.map_err(|e| unusable(path, e))?;
    write(path, 0o600, text.as_bytes())?;
    Ok(key)
}

/// Takes a key that is there over into the machine's directory.
pub fn take_over(from: &Path, to: &Path) -> Result<(), DriverError> {
    let key = fs::read(from).map_err(|source| file(from, source))?;
    write(to, 0o600, &key)
}

/// Writes beside and renames: a machine is never left with half a key.
fn write(path: &Path, mode: u32, content: &[u8]) -> Result<(), DriverError> {
    let written = || -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut beside = tempfile::NamedTempFile::new_in(directory)?;
        beside.write_all(content)?;
        permit(beside.as_file(), mode)?;
        beside.as_file().sync_all()?;
        beside.persist(path)?;
        Ok(())
    };
    written().map_err(|source| file(path, source))
}

#[cfg(unix)]
fn permit(file: &fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn permit(_file: &fs::File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Gives the machine a copy of the ISO that costs no space where the file system can.
pub fn link(from: &Path, to: &Path) -> Result<(), DriverError> {
    let linked = || -> io::Result<()> {
        let beside = to.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if fs::hard_link(from, &beside).is_err() {
            fs::copy(from, &beside)?;
            OpenOptions::new().write(true).open(&beside)?.sync_all()?;
        }
        fs::rename(&beside, to)
    };
    linked().map_err(|source| file(to, source))
}

fn unusable(path: &Path, error: ssh_key::Error) -> DriverError {
    file(path, io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = login_key(directory.path());
        let name: MachineName = "n1".parse().unwrap();
        let first = authorized(&path, &name).unwrap();
        assert!(
            first.starts_with("ssh-ed25519 ") && first.ends_with(" n1\n"),
            "{first}"
        );
        assert_eq!(authorized(&path, &name).unwrap(), first);
        assert_eq!(
            fs::read_to_string(path.with_extension("pub")).unwrap(),
            first
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "no key").unwrap();
        assert!(authorized(&path, &name).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "no key");
    }

    #[test]
    fn an_iso_is_linked_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (iso, own) = (
            directory.path().join("a.iso"),
            directory.path().join("own.iso"),
        );
        fs::write(&iso, "one").unwrap();
        link(&iso, &own).unwrap();
        let other = directory.path().join("b.iso");
        fs::write(&other, "two").unwrap();
        link(&other, &own).unwrap();
        assert_eq!(fs::read_to_string(&own).unwrap(), "two");
        assert_eq!(fs::read_to_string(&iso).unwrap(), "one");
    }
}
