//! The initramfs: busybox, the modules that find the CD, and a script.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::apt::lines;
use super::modes;
use super::modules::{self, Needs};
use super::program::{Run, Runner};
use super::root::{Tree, entries, write};
use super::work::Work;
use super::{BuildError, iso};

const INIT: &str = include_str!("../../../../templates/iso/init");
const EARLY: &str = include_str!("../../../../templates/iso/early-modules");
const LIMIT: Duration = Duration::from_secs(120);

/// Makes it, at [`iso::initramfs`].
pub(super) async fn make(
    runner: &Runner,
    work: &Work,
    tree: &Tree,
    epoch: u64,
) -> Result<(), BuildError> {
    let early = work.make_dir("early")?;
    for name in ["above", "below", "bin", "dev", "iso", "proc", "root", "sys"] {
        work.make_dir(&format!("early/{name}"))?;
    }
    write(&early.join("init"), 0o755, INIT)?;
    copy(
        &tree.root.join("usr/bin/busybox"),
        &early.join("bin/busybox"),
    )?;
    let place = early.join("lib/modules").join(&tree.release);
    let wanted: Vec<&str> = lines(EARLY).collect();
    let needed = Needs::read(&tree.modules)?.with_all(|path| {
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = file.split_once(".ko").map_or(file, |(name, _)| name);
        wanted
            .iter()
            .any(|wanted| name.replace('-', "_") == *wanted)
    });
    let lists = [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ];
    for path in needed.iter().map(String::as_str).chain(lists) {
        let from = tree.modules.join(path);
        if from.is_file() {
            copy(&from, &place.join(path))?;
        }
    }
    modules::index(runner, &early, &tree.release).await?;
    modes::settle_all(&early)?;

    let mut names = Vec::new();
    list(&early, Path::new("."), &mut names)?;
    for name in &names {
        date(&early.join(name), epoch)?;
    }
    let plain = work.path("initrd");
    let input: Vec<String> = names
        .iter()
        .map(|name| format!("{}\n", name.display()))
        .collect();
    let run = Run {
        input: Some(input.concat().into_bytes()),
        output: Some(plain.clone()),
        ..Run::new("cpio", "packing the initramfs", &early, LIMIT)
    };
    let args = ["-o", "-H", "newc", "-R", "0:0", "--reproducible", "--quiet"];
    runner.run(run, args).await?;
    let run = Run {
        output: Some(iso::initramfs(work)?),
        ..Run::new("gzip", "packing the initramfs", &early, LIMIT)
    };
    let args = [
        "-n".as_ref(),
        "-9".as_ref(),
        "-c".as_ref(),
        plain.as_os_str(),
    ];
    runner.run(run, args).await.map(drop)
}

/// Dates a file or directory.
pub(super) fn date(path: &Path, epoch: u64) -> Result<(), BuildError> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(epoch));
    let time = time.ok_or_else(|| io::Error::other(format!("{epoch} is no point in time")));
    fs::File::open(path)
        .and_then(|file| Ok((file, time?)))
        .and_then(|(file, time)| {
            file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time))
        })
        .map_err(BuildError::io("date", path))
}

/// Everything below a directory, by name, each directory before what is in it.
pub(super) fn list(dir: &Path, name: &Path, names: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    names.push(name.to_owned());
    for entry in entries(&dir.join(name))? {
        let name = name.join(entry.file_name().unwrap_or_default());
        match entry.is_dir() {
            true => list(dir, &name, names)?,
            false => names.push(name),
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    let dir = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(BuildError::io("make the directory", dir))?;
    fs::copy(from, to)
        .map(drop)
        .map_err(BuildError::io("copy", from))
}
