//! Paths outside a store that its records may name: approved by the user, and kept outside the
//! store.
//!
//! A record may come from someone else: a shared, restored or imported store. Whatever file it
//! names would be read with this user's rights and, as a password or a key, used on a host that the
//! record names too. A path inside the store is only what the store's owner put there; any other
//! path is used after the user approved it for this store, machine and field.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rmachine_driver::{MachineName, NamedFile};
use serde::{Deserialize, Serialize};

use crate::{Layout, Locked, StoreError, atomic, lock_file};

/// Timeout for the lock of the list.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest list that is read, in bytes: tens of thousands of approvals.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

const VERSION: u32 = 1;

/// The list of approved paths of one user.
#[derive(Clone, Debug, Default)]
pub struct ApprovedPaths {
    file: Option<PathBuf>,
}

/// Why the list of approved paths cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is no directory for the list.
    #[error("there is no home directory for the list of approved paths")]
    NoHome,

    /// Somebody else could have written the list, or it is not in its format.
    #[error("the list of approved paths {} cannot be trusted: {reason}", .path.display())]
    Untrusted {
        /// The list.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// Another process holds the list's lock.
    #[error("the list of approved paths {} is locked by another process", .path.display())]
    Busy {
        /// The list.
        path: PathBuf,
    },

    /// A path cannot be written down.
    #[error("the path {} is not UTF-8", .path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },

    /// The list cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    version: u32,
    approved: BTreeSet<Approval>,
}

#[derive(Clone, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Approval {
    store: String,
    machine: MachineName,
    field: String,
    path: String,
}

impl ApprovedPaths {
    /// The list in this file; without one, nothing is approved and nothing can be.
    pub fn at(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// Returns the files outside the store that are not approved, with their paths resolved where
    /// a symbolic link or `..` leads out of the store. Reads the list only if there is a file
    /// outside the store.
    ///
    /// # Errors
    /// [`ApprovalError`] when the list cannot be used.
    pub fn unapproved(
        &self,
        layout: &Layout,
        machine: &MachineName,
        files: &[NamedFile],
    ) -> Result<Vec<NamedFile>, ApprovalError> {
        let mut outside = outside_files(layout.root(), files);
        if outside.is_empty() {
            return Ok(outside);
        }
        let Some(path) = &self.file else {
            return Ok(outside);
        };
        let of_list = NamedFile {
            field: "",
            path: path.clone(),
        };
        if outside_files(layout.root(), &[of_list]).is_empty() {
            return Err(ApprovalError::Untrusted {
                path: path.clone(),
                reason: "it is inside the store".to_owned(),
            });
        }
        let list = read(path)?;
        let store = store_key(layout)?;
        outside.retain(|file| match approval(&store, machine, file) {
            Ok(approval) => !list.approved.contains(&approval),
            Err(_) => true,
        });
        Ok(outside)
    }

    /// Approves those of the files that are outside the store.
    ///
    /// # Errors
    /// [`ApprovalError`] when the list cannot be read or written.
    pub fn approve(
        &self,
        layout: &Layout,
        machine: &MachineName,
        files: &[NamedFile],
    ) -> Result<(), ApprovalError> {
        let unapproved = self.unapproved(layout, machine, files)?;
        if unapproved.is_empty() {
            return Ok(());
        }
        let store = store_key(layout)?;
        let approvals: Result<Vec<_>, _> = unapproved
            .iter()
            .map(|file| approval(&store, machine, file))
            .collect();
        let approvals = approvals?;
        self.change(|list| list.approved.extend(approvals))
    }

    /// Forgets what was approved for a machine that is removed: another one may get its name.
    ///
    /// # Errors
    /// [`ApprovalError`] when the list cannot be read or written.
    pub fn forget(&self, layout: &Layout, machine: &MachineName) -> Result<(), ApprovalError> {
        let Some(path) = self.file.as_deref().filter(|path| path.exists()) else {
            return Ok(());
        };
        let store = store_key(layout)?;
        let is_meant = |it: &Approval| it.store == store && it.machine == *machine;
        if !read(path)?.approved.iter().any(is_meant) {
            return Ok(());
        }
        self.change(|list| list.approved.retain(|it| !is_meant(it)))
    }

    fn change(&self, change: impl FnOnce(&mut List)) -> Result<(), ApprovalError> {
        let path = self.file.as_deref().ok_or(ApprovalError::NoHome)?;
        let Locked::Held(_lock) = lock_file(&path.with_extension("lock"), LOCK_TIMEOUT)? else {
            return Err(ApprovalError::Busy {
                path: path.to_owned(),
            });
        };
        let mut list = read(path)?;
        change(&mut list);
        list.version = VERSION;
        let text = serde_json::to_vec_pretty(&list)
            .map_err(|error| StoreError::io("write", path)(error.into()))?;
        Ok(atomic::write_private(path, &text)?)
    }
}

fn approval(
    store: &str,
    machine: &MachineName,
    file: &NamedFile,
) -> Result<Approval, ApprovalError> {
    Ok(Approval {
        store: store.to_owned(),
        machine: machine.clone(),
        field: file.field.to_owned(),
        path: utf8(&file.path)?,
    })
}

fn store_key(layout: &Layout) -> Result<String, ApprovalError> {
    utf8(&resolved_root(layout.root()))
}

fn utf8(path: &Path) -> Result<String, ApprovalError> {
    let text = path.to_str().ok_or_else(|| ApprovalError::NotUtf8 {
        path: path.to_owned(),
    })?;
    Ok(text.to_owned())
}

/// Reads the list; an absent one is empty. One that others may have written approves nothing.
fn read(path: &Path) -> Result<List, ApprovalError> {
    let untrusted = |reason: String| ApprovalError::Untrusted {
        path: path.to_owned(),
        reason,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(List::default()),
        Err(error) => return Err(StoreError::io("read", path)(error).into()),
    };
    let metadata = file.metadata().map_err(StoreError::io("read", path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.uid() != nix::unistd::Uid::effective().as_raw() {
            return Err(untrusted("it belongs to another user".to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(untrusted(format!(
                "others can write it (mode {mode:04o}, expected 0600)"
            )));
        }
    }
    if metadata.len() > MAX_SIZE {
        return Err(untrusted(format!("it is larger than {MAX_SIZE} bytes")));
    }
    let mut text = Vec::new();
    file.take(MAX_SIZE)
        .read_to_end(&mut text)
        .map_err(StoreError::io("read", path))?;
    let list: List = serde_json::from_slice(&text).map_err(|error| untrusted(error.to_string()))?;
    if list.version != VERSION {
        return Err(untrusted(format!(
            "it has version {}, expected {VERSION}",
            list.version
        )));
    }
    Ok(list)
}

fn outside_files(root: &Path, files: &[NamedFile]) -> Vec<NamedFile> {
    let root = StoreRoot {
        given: root,
        resolved: resolved_root(root),
    };
    let outside = files.iter().filter_map(|file| {
        Some(NamedFile {
            field: file.field,
            path: root.outside(&file.path)?,
        })
    });
    outside.collect()
}

struct StoreRoot<'a> {
    given: &'a Path,
    resolved: PathBuf,
}

impl StoreRoot<'_> {
    /// Returns the path to approve; `None` for a path inside the store.
    ///
    /// A path that only seems to be inside the store is approved as what it resolves to: whoever
    /// writes the store could let it lead elsewhere afterwards. Any other path is approved as it is
    /// written, so that the user's own symbolic links may change.
    fn outside(&self, path: &Path) -> Option<PathBuf> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let resolved = resolve(&path);
        if let Ok(resolved) = &resolved
            && resolved.starts_with(&self.resolved)
        {
            return None;
        }
        let leads_out = path.starts_with(self.given)
            || path.starts_with(&self.resolved)
            || path.components().any(|part| part == Component::ParentDir);
        match resolved {
            Ok(resolved) if leads_out => Some(resolved),
            Ok(_) | Err(_) => Some(path),
        }
    }
}

fn resolved_root(root: &Path) -> PathBuf {
    resolve(root).unwrap_or_else(|_| root.to_owned())
}

/// Resolves symbolic links and `..` of the part of a path that exists.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut present = path;
    // A dangling link is present, and cannot be resolved.
    while fs::symlink_metadata(present).is_err() {
        let (Some(name), Some(parent)) = (present.file_name(), present.parent()) else {
            return Err(ErrorKind::NotFound.into());
        };
        missing.push(name);
        present = parent;
    }
    let mut resolved = present.canonicalize()?;
    resolved.extend(missing.into_iter().rev());
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::Store;

    const FIELD: &str = "Driver.SSHKeyPath";

    fn file(path: impl Into<PathBuf>) -> NamedFile {
        NamedFile {
            field: FIELD,
            path: path.into(),
        }
    }

    struct Place {
        dir: tempfile::TempDir,
        store: Store,
        list: ApprovedPaths,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path().join("store")).unwrap();
            fs::create_dir_all(dir.path().join("store/machines/n1")).unwrap();
            fs::create_dir(dir.path().join("home")).unwrap();
            fs::write(dir.path().join("home/secret"), "secret").unwrap();
            let list = ApprovedPaths::at(Some(dir.path().join("state/approved-paths.json")));
            Self { dir, store, list }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn unapproved(&self, machine: &str, path: &Path) -> Vec<PathBuf> {
            let name = machine.parse().unwrap();
            let files = [file(path)];
            let found = self.list.unapproved(self.store.layout(), &name, &files);
            found.unwrap().into_iter().map(|it| it.path).collect()
        }

        fn approve(&self, machine: &str, path: &Path) {
            let name = machine.parse().unwrap();
            let files = [file(path)];
            self.list
                .approve(self.store.layout(), &name, &files)
                .unwrap();
        }
    }

    #[test]
    fn path_inside_the_store_needs_no_approval() {
        let place = Place::new();
        fs::write(place.path("store/machines/n1/id_rsa"), "key").unwrap();
        symlink(place.path("store"), place.path("link")).unwrap();
        for inside in [
            "store/machines/n1/id_rsa",
            "store/machines/n1/absent",
            "store/machines/n1/../../certs/ca.pem",
            "link/machines/n1/id_rsa",
        ] {
            let found = place.unapproved("n1", &place.path(inside));
            assert_eq!(found, [] as [PathBuf; 0], "{inside}");
        }
        assert!(!place.path("state").exists());
    }

    #[test]
    fn path_that_leads_out_of_the_store_is_outside() {
        let place = Place::new();
        let secret = place.path("home/secret").canonicalize().unwrap();
        symlink(&secret, place.path("store/machines/n1/link")).unwrap();
        symlink(place.path("home"), place.path("store/machines/n1/dir")).unwrap();
        for outside in [
            "home/secret",
            "store/machines/n1/link",
            "store/machines/n1/dir/secret",
            "store/../home/secret",
            "store/machines/n1/../../../home/secret",
        ] {
            let found = place.unapproved("n1", &place.path(outside));
            let resolved: Vec<_> = found.iter().map(|it| it.canonicalize().unwrap()).collect();
            assert_eq!(resolved, std::slice::from_ref(&secret), "{outside}");
        }
        let dangling = place.path("store/machines/n1/dangling");
        symlink(place.path("home/later"), &dangling).unwrap();
        assert_eq!(place.unapproved("n1", &dangling), [dangling]);
        assert_eq!(place.unapproved("n1", Path::new("relative")).len(), 1);
    }

    #[test]
    fn approval_holds_for_one_store_machine_field_and_path() {
        let place = Place::new();
        let secret = place.path("home/secret");
        place.approve("n1", &secret);
        assert!(place.unapproved("n1", &secret).is_empty());
        assert_eq!(place.unapproved("n2", &secret).len(), 1);
        assert_eq!(place.unapproved("n1", &place.path("home/other")).len(), 1);
        let name = "n1".parse().unwrap();
        let other_field = [NamedFile {
            field: "Driver.Rmachine.SudoPasswordFile",
            path: secret.clone(),
        }];
        let found = place
            .list
            .unapproved(place.store.layout(), &name, &other_field);
        assert_eq!(found.unwrap(), other_field);
        let elsewhere = Store::open(place.path("elsewhere")).unwrap();
        let found = place
            .list
            .unapproved(elsewhere.layout(), &name, &[file(&secret)]);
        assert_eq!(found.unwrap().len(), 1);

        let mode = fs::metadata(place.path("state/approved-paths.json")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);

        place.list.forget(place.store.layout(), &name).unwrap();
        assert_eq!(place.unapproved("n1", &secret).len(), 1);
    }

    #[test]
    fn approved_link_in_the_store_cannot_be_pointed_elsewhere() {
        let place = Place::new();
        let link = place.path("store/machines/n1/id_rsa");
        symlink(place.path("home/secret"), &link).unwrap();
        place.approve("n1", &link);
        assert!(place.unapproved("n1", &link).is_empty());
        fs::write(place.path("home/other"), "other").unwrap();
        fs::remove_file(&link).unwrap();
        symlink(place.path("home/other"), &link).unwrap();
        assert_eq!(place.unapproved("n1", &link).len(), 1);
    }

    #[test]
    fn list_inside_the_store_is_not_trusted() {
        let place = Place::new();
        let list = ApprovedPaths::at(Some(place.path("store/state/approved-paths.json")));
        let files = [file(place.path("home/secret"))];
        let name = "n1".parse().unwrap();
        let error = list.approve(place.store.layout(), &name, &files);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("inside the store"), "{error}");
    }

    #[test]
    fn list_that_others_can_write_is_not_trusted() {
        let place = Place::new();
        let secret = place.path("home/secret");
        place.approve("n1", &secret);
        let list = place.path("state/approved-paths.json");
        let name = "n1".parse().unwrap();
        let unusable = || {
            let found = place
                .list
                .unapproved(place.store.layout(), &name, &[file(&secret)]);
            found.unwrap_err().to_string()
        };
        fs::set_permissions(&list, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(unusable().contains("mode 0666"), "{}", unusable());
        fs::set_permissions(&list, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&list, "{ half").unwrap();
        assert!(unusable().contains("cannot be trusted"), "{}", unusable());
        fs::write(&list, r#"{"Version": 2, "Approved": []}"#).unwrap();
        assert!(unusable().contains("version 2"), "{}", unusable());
    }
}
