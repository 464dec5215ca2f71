//! An ISO in the manner of boot2docker, made from Debian's packages.
//!
//! ```text
//! packages (apt) → unpacked → root of the image → squashfs ┐
//!                              └ kernel, initramfs         ┴ ISO → the cache
//! ```
//!
//! Packages are unpacked, never installed: no script of theirs runs, so that root is not needed and
//! the same packages make the same ISO, byte for byte. [`PackageLock`] says which they were.
//! `templates/iso` holds all else that goes in.

mod apt;
mod engine;
mod error;
mod files;
mod initramfs;
mod iso;
mod lockfile;
mod modes;
mod modules;
mod program;
mod root;
mod work;

use std::path::PathBuf;

use rmachine_driver::Report;

pub use engine::{BuildEngine, UnknownEngine};
pub use error::BuildError;
pub use lockfile::{InvalidLock, LockedPackage, PackageLock};

use crate::{Cache, Iso, IsoName};
use apt::Apt;
use program::Programs;
use work::Work;

/// What is to be built.
#[derive(Clone, Debug)]
pub struct BuildOrder {
    /// The ISO's name in the cache.
    pub name: IsoName,
    /// Which packages it is made of.
    pub packages: BuildPackages,
    /// A place that has Debian's archive; `None` for the one that this computer's apt uses.
    pub archive: Option<String>,
    /// Where the programs are that build it, as in `PATH`.
    pub search_path: String,
}

/// Which packages an ISO is made of.
#[derive(Clone, Debug)]
pub enum BuildPackages {
    /// The newest that the archive has, with this engine; the image is dated so, in seconds since
    /// 1970.
    Newest(BuildEngine, u64),
    /// Just these.
    Locked(PackageLock),
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The ISO in the cache.
    pub iso: Iso,
    /// The packages that it is made of: what builds it again.
    pub lock: PackageLock,
    /// Where the list of them lies.
    pub lock_path: PathBuf,
}

/// Builds an ISO and puts it into the cache, in the place of one that has its name.
///
/// # Errors
/// [`BuildError`]; what was unpacked is removed, packages that were fetched stay in the cache.
pub async fn build(
    cache: &Cache,
    order: &BuildOrder,
    report: &dyn Report,
) -> Result<Built, BuildError> {
    let programs = Programs::find(&order.search_path)?;
    let work = Work::begin(cache)?;
    let (engine, epoch) = match &order.packages {
        BuildPackages::Newest(engine, epoch) => (*engine, *epoch),
        BuildPackages::Locked(lock) => (lock.engine, lock.epoch),
    };
    let runner = programs.at(epoch);
    let apt = Apt {
        runner: &runner,
        work: &work,
        engine,
        archive: order.archive.as_deref(),
    };
    let fetched = match &order.packages {
        BuildPackages::Newest(..) => apt.newest(report).await?,
        BuildPackages::Locked(lock) => apt.locked(lock, report).await?,
    };
    let lock = PackageLock {
        engine,
        epoch,
        packages: fetched.iter().map(|(package, _)| package.clone()).collect(),
    };

    report.step("unpacking the packages");
    let tree = root::unpack(&runner, &work, &fetched).await?;
    report.step("arranging the root of the image");
    let version = lock.engine_version();
    root::arrange(&tree, engine, &version)?;
    modules::keep(&runner, &tree).await?;
    modes::settle_root(&tree.root)?;
    report.step("packing the initramfs");
    initramfs::make(&runner, &work, &tree, epoch).await?;
    report.step("compressing the root of the image");
    iso::squash(&runner, &work, &tree).await?;
    report.step("writing the ISO");
    let file = iso::write(&runner, &work, &tree, &version, epoch).await?;

    let iso = cache.place_built(&file, &order.name, report).await?;
    let lock_path = cache.dir().join(format!("{}.packages", order.name));
    work::write_beside(&lock_path, &lock.to_string())?;
    Ok(Built {
        iso,
        lock,
        lock_path,
    })
}
