use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rmachine_driver::{DriverError, Operation, Report};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStderr, Command};

use crate::build_output::{Tail, step_of};
use crate::daemon::Daemon;
use crate::failure::{self, backend, backend_with_hint};
use crate::recipe::{IMAGE_LABEL, Recipe};

/// How long one build may take: packages may come from far away.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Where `debootstrap`, `chroot` and `mount` are, whatever the caller's PATH.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Builds the node image without a registry: Debian's own packages, laid out by debootstrap, go to
/// the engine as an archive.
///
/// `lock` is handed to the build as well, so that it ends with whatever is still writing below
/// `cache`, even when this process was killed. `why` says why no base image could be used.
pub async fn build(
    daemon: &Daemon,
    recipe: &Recipe,
    tag: &str,
    cache: &Path,
    lock: &File,
    why: &str,
    report: &dyn Report,
) -> Result<(), DriverError> {
    able(daemon, why).await?;
    let directory = Workplace::fresh(cache.join("build"))?;
    recipe
        .unpack(&directory.0)
        .map_err(|source| failure::file(&directory.0, source))?;
    let built = tokio::time::timeout(BUILD_LIMIT, run(daemon, recipe, &directory.0, lock, report));
    let image = built.await.map_err(|_| DriverError::Timeout {
        waiting_for: "debootstrap to build the node image".to_owned(),
        limit: BUILD_LIMIT,
        last: "it is still at work".to_owned(),
    })??;
    // Only a whole image gets the name under which it is looked for.
    daemon.tag(&image, tag).await.map_err(failed)
}

/// The directory of a build; removed with everything in it.
struct Workplace(PathBuf);

impl Workplace {
    /// An empty directory in place of what an earlier build left there. Nothing can be mounted
    /// below it: mounts end with the namespace of the build that made them.
    fn fresh(path: PathBuf) -> Result<Self, DriverError> {
        let made = || {
            remove(&path)?;
            fs::create_dir_all(&path)
        };
        made().map_err(|source| failure::file(&path, source))?;
        Ok(Self(path))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the build's directory stays behind");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether this computer can build an image by itself, and what it lacks.
async fn able(daemon: &Daemon, why: &str) -> Result<(), DriverError> {
    let below = daemon.below().await.map_err(failed)?;
    let lacking = if below.architecture != std::env::consts::ARCH {
        Some((
            format!("the engine's architecture is {}", below.architecture),
            "give an image of that architecture with --docker-image",
        ))
    } else if !nix::unistd::geteuid().is_root() {
        Some((
            "it takes root".to_owned(),
            "run this once as root, or give an image with --docker-image",
        ))
    } else if which::which_in("debootstrap", Some(SYSTEM_PATH), "/").is_err() {
        Some((
            "debootstrap is not installed".to_owned(),
            "apt-get install debootstrap",
        ))
    } else {
        None
    };
    match lacking {
        None => Ok(()),
        Some((lack, hint)) => Err(backend_with_hint(
            Operation::Create,
            format!("no node image: {why}, and it cannot be built here, since {lack}"),
            hint,
        )),
    }
}

/// Runs debootstrap and hands its archive to the engine as it comes. Returns the image's id.
async fn run(
    daemon: &Daemon,
    recipe: &Recipe,
    directory: &Path,
    lock: &File,
    report: &dyn Report,
) -> Result<String, DriverError> {
    let lock = lock
        .try_clone()
        .map_err(|source| failure::file(directory, source))?;
    // The namespaces end with their first process, and that one ends with its parent: neither a
    // mount nor a process outlives the build.
    let mut child = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh"])
        .arg(directory.join("debootstrap.sh"))
        .arg(directory)
        .args([recipe.release.as_str(), recipe.mirror()])
        .env("PATH", SYSTEM_PATH)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| backend(Operation::Create, format!("cannot run unshare: {error}")))?;
    let (Some(archive), Some(words)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(backend(
            Operation::Create,
            "unshare has no output".to_owned(),
        ));
    };
    let label = format!("LABEL {IMAGE_LABEL}=debootstrap");
    let changes = ["CMD [\"/sbin/init\"]", "ENV container=docker", &label];
    let (imported, tail) = tokio::join!(daemon.import(&changes, archive), follow(words, report));
    let status = child
        .wait()
        .await
        .map_err(|source| failure::file(directory, source))?;
    if !status.success() {
        if let Ok(cut) = imported {
            // An archive that was cut can look whole to the engine.
            if let Err(error) = daemon.remove_image(&cut).await {
                tracing::warn!(image = cut, %error, "half an image stays behind");
            }
        }
        return Err(backend(
            Operation::Create,
            format!("debootstrap failed ({status}); {}", tail.shown()),
        ));
    }
    imported.map_err(failed)
}

/// Reports the build's steps, and keeps its last words.
async fn follow(words: ChildStderr, report: &dyn Report) -> Tail {
    let mut lines = BufReader::new(words).split(b'\n');
    let mut tail = Tail::default();
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        if let Some(step) = step_of(&line) {
            report.step(step);
        }
        tail.push(&line);
    }
    tail
}

fn failed(error: rmachine_engine::EngineError) -> DriverError {
    failure::engine(Operation::Create, "importing the node image", error)
}
