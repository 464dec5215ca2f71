//! The ISO itself: the compressed root, the kernel, and a boot loader for a BIOS.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::BuildError;
use super::initramfs::{date, list};
use super::program::{Run, Runner};
use super::root::{Tree, write as write_file};
use super::work::Work;

const LOADER: &str = include_str!("../../../../templates/iso/isolinux.cfg");
const SQUASH_LIMIT: Duration = Duration::from_secs(3600);
const WRITE_LIMIT: Duration = Duration::from_secs(600);

/// Where the initramfs goes.
pub(super) fn initramfs(work: &Work) -> Result<PathBuf, BuildError> {
    Ok(work.make_dir("iso/boot")?.join("initrd.img"))
}

/// Compresses the root. Everything in it is root's; dates after the image's own become that.
pub(super) async fn squash(runner: &Runner, work: &Work, tree: &Tree) -> Result<(), BuildError> {
    let place = work.make_dir("iso/boot")?.join("root.squashfs");
    let run = Run::new(
        "mksquashfs",
        "compressing the root",
        &tree.root,
        SQUASH_LIMIT,
    );
    let mut args = vec![tree.root.clone().into_os_string(), place.into_os_string()];
    args.extend(
        "-noappend -all-root -no-xattrs -no-progress -quiet -b 1M -comp zstd -Xcompression-level 15"
            .split(' ')
            .map(Into::into),
    );
    runner.run(run, args).await.map(drop)
}

/// Writes the ISO.
pub(super) async fn write(
    runner: &Runner,
    work: &Work,
    tree: &Tree,
    version: &str,
    epoch: u64,
) -> Result<PathBuf, BuildError> {
    let tree_of_iso = work.make_dir("iso")?;
    let loader = work.make_dir("iso/boot/isolinux")?;
    for (from, name) in [
        ("usr/lib/ISOLINUX/isolinux.bin", "isolinux.bin"),
        ("usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"),
    ] {
        let from = tree.loader.join(from);
        fs::copy(&from, loader.join(name)).map_err(BuildError::io("copy", from))?;
    }
    write_file(&loader.join("isolinux.cfg"), 0o644, LOADER)?;
    let kernel = tree_of_iso.join("boot/vmlinuz");
    fs::rename(&tree.kernel, &kernel).map_err(BuildError::io("move", &tree.kernel))?;
    let mut names = Vec::new();
    list(&tree_of_iso, std::path::Path::new("."), &mut names)?;
    for name in names {
        date(&tree_of_iso.join(name), epoch)?;
    }
    let file = work.path("image.iso");
    let label: String = format!("Boot2Docker-v{version}").chars().take(32).collect();
    let run = Run::new("xorriso", "writing the ISO", work.packages(), WRITE_LIMIT);
    let mut args: Vec<std::ffi::OsString> =
        "-as mkisofs -quiet -r -J -b boot/isolinux/isolinux.bin \
         -c boot/isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table"
            .split_whitespace()
            .map(Into::into)
            .collect();
    args.extend(["-V".into(), label.into(), "-o".into(), file.clone().into()]);
    args.push(tree_of_iso.into());
    runner.run(run, args).await?;
    Ok(file)
}
