//! The copy of the private key in the machine's directory.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rmachine_driver::DriverError;

/// Names that the store itself uses in a machine's directory.
const TAKEN: [&str; 11] = [
    "config.json",
    "ca.pem",
    "cert.pem",
    "key.pem",
    "server.pem",
    "server-key.pem",
    "agent.pem",
    "agent-key.pem",
    "store.pem",
    "store-key.pem",
    "known_hosts",
];

/// Copies a private key, and its public half where there is one, and says where the copy is.
///
/// A copy that is there already stands in for an original that is not any more.
///
/// # Errors
/// [`DriverError::File`] for what cannot be read or written.
pub(crate) fn keep(key: &Path, machine_dir: &Path) -> Result<PathBuf, DriverError> {
    let copy = machine_dir.join(kept_name(key));
    if key == copy || (!key.exists() && copy.exists()) {
        return Ok(copy);
    }
    let content = fs::read(key).map_err(|source| DriverError::File {
        path: key.to_owned(),
        source,
    })?;
    write(&copy, &content, 0o600)?;
    if let Ok(public) = fs::read(with_pub(key)) {
        write(&with_pub(&copy), &public, 0o644)?;
    }
    Ok(copy)
}

fn kept_name(key: &Path) -> String {
    let name = key.file_name().unwrap_or_default().to_string_lossy();
    match TAKEN.contains(&name.as_ref()) {
        true => format!("id_{name}"),
        false => name.into_owned(),
    }
}

fn with_pub(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), DriverError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(dir).and_then(|mut file| {
        file.write_all(content)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    });
    written.map_err(|source| DriverError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_copy_is_private_and_outlives_the_original() {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("machine");
        fs::create_dir(&machine).unwrap();
        let key = dir.path().join("id_work");
        fs::write(&key, "private").unwrap();
        fs::write(with_pub(&key), "public").unwrap();

        let copy = keep(&key, &machine).unwrap();
        assert_eq!(copy, machine.join("id_work"));
        assert_eq!(fs::read_to_string(&copy).unwrap(), "private");
        assert_eq!(copy.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_to_string(machine.join("id_work.pub")).unwrap(),
            "public"
        );

        assert_eq!(keep(&copy, &machine).unwrap(), copy);
        fs::remove_file(&key).unwrap();
        assert_eq!(keep(&key, &machine).unwrap(), copy);
        fs::remove_file(&copy).unwrap();
        assert!(keep(&key, &machine).is_err());
    }

    #[test]
    fn no_key_takes_the_place_of_the_stores_own_files() {
        for (given, kept) in [
            ("/k/id_rsa", "id_rsa"),
            ("/k/aws.pem", "aws.pem"),
            ("/k/key.pem", "id_key.pem"),
            ("/k/known_hosts", "id_known_hosts"),
        ] {
            assert_eq!(kept_name(Path::new(given)), kept);
        }
    }
}
