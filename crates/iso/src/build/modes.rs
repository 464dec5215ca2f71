//! The permission bits of what is in an image, whatever the umask was under which it was written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::BuildError;
use super::files::{DIRECTORIES, FILES, PACKAGED};
use super::root::{entries, set_mode};

/// Those of the image's root.
pub(super) fn settle_root(root: &Path) -> Result<(), BuildError> {
    settle(root, Path::new(""), &|name, mode| {
        of_listed(name).unwrap_or(of_any(mode))
    })
}

/// Those of a directory that has nothing but what programs wrote.
pub(super) fn settle_all(dir: &Path) -> Result<(), BuildError> {
    settle(dir, Path::new(""), &|_, mode| of_any(mode))
}

/// The directory itself too. Links are left alone: what they name may be this computer's.
fn settle(
    root: &Path,
    name: &Path,
    definite: &dyn Fn(&Path, u32) -> u32,
) -> Result<(), BuildError> {
    let path = root.join(name);
    let metadata = fs::symlink_metadata(&path).map_err(BuildError::io("read", &path))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let now = metadata.permissions().mode() & 0o7777;
    let mode = definite(name, now);
    if mode != now {
        set_mode(&path, mode)?;
    }
    if metadata.is_dir() {
        for entry in entries(&path)? {
            let name = name.join(entry.file_name().unwrap_or_default());
            settle(root, &name, definite)?;
        }
    }
    Ok(())
}

/// What is written down for a path of the root.
fn of_listed(name: &Path) -> Option<u32> {
    let files = FILES.iter().map(|(listed, mode, _)| (listed, mode));
    let others = DIRECTORIES.iter().chain(PACKAGED);
    let mut all = files.chain(others.map(|(listed, mode)| (listed, mode)));
    all.find(|(listed, _)| name == Path::new(listed))
        .map(|(_, mode)| *mode)
}

/// What its owner reads or runs, everybody does; its owner alone writes. Packages bring the higher
/// bits.
fn of_any(mode: u32) -> u32 {
    let executable = mode & 0o100;
    mode & 0o7700 | 0o444 | executable >> 3 | executable >> 6
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::super::initramfs::list;
    use super::*;

    fn modes(dir: &Path) -> Vec<(PathBuf, u32)> {
        let mut names = Vec::new();
        list(dir, Path::new(""), &mut names).unwrap();
        let mode = |name: &PathBuf| fs::metadata(dir.join(name)).unwrap().permissions().mode();
        let with_mode = |name: PathBuf| (name.clone(), mode(&name) & 0o7777);
        names.into_iter().map(with_mode).collect()
    }

    /// What programs write under this umask.
    fn written(dir: &Path, umask: &str) {
        let script = "umask $1; mkdir -p etc usr/bin usr/lib/modules root var/lib/root tmp
            touch etc/shadow etc/sudoers usr/bin/sudo usr/bin/x usr/lib/modules/modules.dep
            chmod u+x usr/bin/*";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script, "sh", umask]).current_dir(dir);
        assert!(shell.status().unwrap().success());
    }

    #[test]
    fn they_are_the_same_under_every_umask() {
        for settle in [settle_root, settle_all] {
            let of = |umask| {
                let dir = tempfile::tempdir().unwrap();
                written(dir.path(), umask);
                settle(dir.path()).unwrap();
                modes(dir.path())
            };
            assert_eq!(of("077"), of("022"));
            assert_eq!(of("000"), of("022"));
        }
    }

    #[test]
    fn what_a_link_names_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("l")).unwrap();
        let before = modes(outside.path());
        settle_root(dir.path()).unwrap();
        assert_eq!(modes(outside.path()), before);
    }

    #[test]
    fn nobody_is_shut_out_but_where_it_is_written_down() {
        for (name, mode, expected) in [
            ("usr/bin/x", 0o700, 0o755),
            ("usr/share/y", 0o666, 0o644),
            ("usr/bin/mount", 0o4755, 0o4755),
            ("usr/bin/sudo", 0o755, 0o4755),
            ("etc/shadow", 0o600, 0o600),
            ("etc/sudoers", 0o440, 0o440),
            ("root", 0o755, 0o700),
            ("var/lib/root", 0o700, 0o755),
            ("", 0o700, 0o755),
        ] {
            let now = of_listed(Path::new(name)).unwrap_or(of_any(mode));
            assert_eq!(now, expected, "{name}: {now:o}");
        }
    }
}
