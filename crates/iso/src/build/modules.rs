//! The kernel's modules: those that a virtual machine with containers needs, and what these need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::BuildError;
use super::apt::lines;
use super::program::{Run, Runner};
use super::root::{Tree, entries, incomplete};

const KEPT: &str = include_str!("../../../../templates/iso/modules");
const LIMIT: Duration = Duration::from_secs(300);

/// Keeps the modules that are wanted and removes all others.
pub(super) async fn keep(runner: &Runner, tree: &Tree) -> Result<(), BuildError> {
    index(runner, &tree.root, &tree.release).await?;
    let needs = Needs::read(&tree.modules)?;
    let wanted: Vec<&str> = lines(KEPT).collect();
    let kept = needs.with_all(|path| {
        let place = path.strip_prefix("kernel/").unwrap_or(path);
        let name = place.split_once(".ko").map_or(place, |(name, _)| name);
        wanted.iter().any(|wanted| {
            name == *wanted
                || name
                    .strip_prefix(wanted)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
    });
    if kept.is_empty() {
        return Err(incomplete("modules that are wanted"));
    }
    for path in needs.0.keys().filter(|path| !kept.contains(path.as_str())) {
        let path = tree.modules.join(path);
        fs::remove_file(&path).map_err(BuildError::io("remove", path))?;
    }
    remove_empty(&tree.modules.join("kernel"))?;
    // What is compressed twice is larger, and slower to load.
    let packed: Vec<&str> = kept
        .iter()
        .map(String::as_str)
        .filter(|path| path.ends_with(".xz"))
        .collect();
    if !packed.is_empty() {
        let run = Run::new("xz", "unpacking modules", &tree.modules, LIMIT);
        runner
            .run(run, ["-d", "-f"].into_iter().chain(packed))
            .await?;
    }
    index(runner, &tree.root, &tree.release).await
}

/// Writes the lists of what needs what.
pub(super) async fn index(runner: &Runner, root: &Path, release: &str) -> Result<(), BuildError> {
    let run = Run::new("depmod", "listing modules", root, LIMIT);
    let args = ["-b".as_ref(), root.as_os_str(), release.as_ref()];
    runner.run(run, args).await.map(drop)
}

/// What each module needs, by their paths below the directory of the release.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Needs(BTreeMap<String, Vec<String>>);

impl Needs {
    /// Reads `modules.dep`.
    pub(super) fn read(modules: &Path) -> Result<Self, BuildError> {
        let path = modules.join("modules.dep");
        let text = fs::read_to_string(&path).map_err(BuildError::io("read", path))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let needs = lines.map(|(path, needs)| {
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            (path.to_owned(), needs)
        });
        Self(needs.collect())
    }

    /// The modules whose paths are wanted, with all that these need.
    pub(super) fn with_all(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
        // `modules.dep` names not only what a module needs but also what that needs.
        let chosen = self.0.iter().filter(|(path, _)| wanted(path));
        chosen
            .flat_map(|(path, needs)| std::iter::once(path).chain(needs))
            .cloned()
            .collect()
    }
}

fn remove_empty(dir: &Path) -> Result<(), BuildError> {
    for entry in entries(dir)? {
        if entry.is_dir() {
            remove_empty(&entry)?;
        }
    }
    if entries(dir)?.is_empty() {
        fs::remove_dir(dir).map_err(BuildError::io("remove", dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_along() {
        let needs = Needs::parse(
            "kernel/fs/a/a.ko:\nkernel/fs/b.ko: kernel/lib/c.ko kernel/fs/a/a.ko\n\
             kernel/lib/c.ko:\nkernel/d.ko.xz: \n",
        );
        let kept = needs.with_all(|path| path.ends_with("/b.ko"));
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        assert_eq!(
            kept,
            ["kernel/fs/a/a.ko", "kernel/fs/b.ko", "kernel/lib/c.ko"]
        );
    }
}
