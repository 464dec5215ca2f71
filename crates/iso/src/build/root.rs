//! The root of the image: packages unpacked, merged and arranged.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use super::BuildError;
use super::apt::{Fetched, lines};
use super::engine::BuildEngine;
use super::files::{DIRECTORIES, FILES, LINKS, UNWANTED};
use super::program::{Run, Runner};
use super::work::Work;

const OS_RELEASE: &str = include_str!("../../../../templates/iso/os-release.j2");
const UNPACK_LIMIT: Duration = Duration::from_secs(300);
/// What only boots the image does not go into its root.
const BOOTS: [&str; 2] = ["isolinux", "syslinux-common"];
/// The directories that are links into `usr` in every Debian since 2023, whatever a package says.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Where what becomes the image lies.
#[derive(Debug)]
pub(super) struct Tree {
    /// The root.
    pub root: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// The modules of the kernel, in the root.
    pub modules: PathBuf,
    /// The kernel's version.
    pub release: String,
    /// The packages of the boot loader.
    pub loader: PathBuf,
}

/// Unpacks the packages.
pub(super) async fn unpack(
    runner: &Runner,
    work: &Work,
    fetched: &[Fetched],
) -> Result<Tree, BuildError> {
    let root = work.make_dir("root")?;
    let loader = work.make_dir("loader")?;
    for (package, file) in fetched {
        let boots = BOOTS.contains(&package.name.as_str());
        let place = if boots { &loader } else { &root };
        let run = Run::new(
            "dpkg-deb",
            "unpacking packages",
            work.packages(),
            UNPACK_LIMIT,
        );
        let args = ["-x".as_ref(), file.as_os_str(), place.as_os_str()];
        runner.run(run, args).await?;
    }
    for name in MERGED {
        merge(&root.join(name), &root.join("usr").join(name))?;
        link(&format!("usr/{name}"), &root.join(name))?;
    }
    let all_modules = root.join("usr/lib/modules");
    let release = fs::read_dir(&all_modules)
        .ok()
        .and_then(|mut entries| entries.next()?.ok()?.file_name().into_string().ok())
        .ok_or_else(|| incomplete("modules of a kernel"))?;
    let kernel = work.path("vmlinuz");
    let packed = root.join("boot").join(format!("vmlinuz-{release}"));
    fs::rename(&packed, &kernel).map_err(BuildError::io("move", packed))?;
    Ok(Tree {
        modules: all_modules.join(&release),
        root,
        kernel,
        release,
        loader,
    })
}

/// Writes what is ours and takes away what nobody needs.
pub(super) fn arrange(tree: &Tree, engine: BuildEngine, version: &str) -> Result<(), BuildError> {
    let root = &tree.root;
    for name in lines(UNWANTED) {
        remove(&root.join(name))?;
    }
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(BuildError::io("make the directory", &path))?;
        set_mode(&path, *mode)?;
    }
    for (name, mode, text) in FILES {
        write(&root.join(name), *mode, text)?;
    }
    for (name, target) in LINKS {
        let path = root.join(name);
        remove(&path)?;
        link(target, &path)?;
    }
    let release = os_release(engine, version)?;
    remove(&root.join("etc/os-release"))?;
    write(&root.join("etc/os-release"), 0o644, &release)?;
    write(
        &root.join("etc/ssl/certs/ca-certificates.crt"),
        0o644,
        &authorities(root)?,
    )
}

fn os_release(engine: BuildEngine, version: &str) -> Result<String, BuildError> {
    const NAME: &str = "os-release";
    let rendered = || {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()?;
        environment.set_syntax(syntax);
        environment.add_template(NAME, OS_RELEASE)?;
        let values = context! { version, suite => engine.suite() };
        environment.get_template(NAME)?.render(values)
    };
    rendered().map_err(|source| BuildError::Template {
        name: NAME,
        source: Box::new(source),
    })
}

/// The certificates of all authorities in one text: what a script of their package writes.
fn authorities(root: &Path) -> Result<String, BuildError> {
    let dir = root.join("usr/share/ca-certificates/mozilla");
    let mut texts = Vec::new();
    for entry in entries(&dir)? {
        texts.push(fs::read_to_string(&entry).map_err(BuildError::io("read", entry))?);
    }
    match texts.is_empty() {
        true => Err(incomplete("certificates of authorities")),
        false => Ok(texts.concat()),
    }
}

/// Moves what is in one directory into another; a link to it is removed.
fn merge(from: &Path, to: &Path) -> Result<(), BuildError> {
    if !is_dir(from) {
        return remove(from);
    }
    fs::create_dir_all(to).map_err(BuildError::io("make the directory", to))?;
    for entry in entries(from)? {
        let place = to.join(entry.file_name().unwrap_or_default());
        if is_dir(&entry) && is_dir(&place) {
            merge(&entry, &place)?;
        } else {
            remove(&place)?;
            fs::rename(&entry, &place).map_err(BuildError::io("move", entry))?;
        }
    }
    fs::remove_dir(from).map_err(BuildError::io("remove", from))
}

/// What is in a directory, by name.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries: Result<Vec<_>, _> = fs::read_dir(dir)?.collect();
        let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths)
    };
    read().map_err(BuildError::io("read", dir))
}

pub(super) fn write(path: &Path, mode: u32, text: &str) -> Result<(), BuildError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(BuildError::io("make the directory", dir))?;
    fs::write(path, text).map_err(BuildError::io("write", path))?;
    set_mode(path, mode)
}

pub(super) fn remove(path: &Path) -> Result<(), BuildError> {
    let removed = match is_dir(path) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BuildError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn incomplete(what: &str) -> BuildError {
    BuildError::Incomplete {
        what: what.to_owned(),
    }
}

fn link(target: &str, path: &Path) -> Result<(), BuildError> {
    symlink(target, path).map_err(BuildError::io("write", path))
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), BuildError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(BuildError::io("set the permissions of", path))
}

/// A directory itself, not a link to one.
fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(&at("bin/a"), 0o755, "a").unwrap();
        write(&at("bin/sub/b"), 0o644, "b").unwrap();
        write(&at("usr/bin/sub/c"), 0o644, "c").unwrap();
        symlink("a", at("bin/l")).unwrap();
        merge(&at("bin"), &at("usr/bin")).unwrap();
        for name in ["a", "sub/b", "sub/c", "l"] {
            assert!(at("usr/bin").join(name).exists(), "{name}");
        }
        assert!(!at("bin").exists());
        merge(&at("sbin"), &at("usr/sbin")).unwrap();
    }

    #[test]
    fn says_which_system_it_is() {
        let text = os_release(BuildEngine::V20_10, "20.10.24").unwrap();
        assert!(text.contains("\nID=boot2docker\n"), "{text}");
        assert!(text.contains("\nVERSION_ID=20.10.24\n"), "{text}");
    }
}
