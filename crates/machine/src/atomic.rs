//! Files that are there whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use crate::StoreError;

/// Marks a file that is being written. One that is left over was never given its name.
const UNFINISHED_PREFIX: &str = ".rmachine-";

/// Writes a file that only its owner may read (mode 0600).
///
/// Readers see the old content or the new, never a part, even if the power fails; the directory
/// must exist. Call it while holding the lock that covers the file.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    write(path, content, 0o600)
}

/// Writes a file that everybody may read (mode 0644); otherwise as [`write_private`].
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_public(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    write(path, content, 0o644)
}

/// Makes a directory that only its owner may enter (mode 0700), with its parents. One that is
/// there stays as it is.
///
/// # Errors
/// [`StoreError::Io`].
pub fn make_private_dir(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(StoreError::io("make the directory", path))
}

/// Gives a directory another name, durably. Both names are in one parent.
pub(crate) fn rename_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Removes a directory with all it holds; one that is gone is no error.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what writers left that were killed. Only under the lock that covers the directory, for
/// a file that is being written looks the same.
pub fn remove_unfinished(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(UNFINISHED_PREFIX)
        {
            // What cannot be removed harms nobody, and the next writer tries again.
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let replace = || {
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(dir)?;
        file.write_all(content)?;
        set_mode(file.as_file(), mode)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_parent(path)
    };
    replace().map_err(StoreError::io("write", path))
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    file.set_permissions(permissions)
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// A new name lasts only when its directory is on disk.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}
