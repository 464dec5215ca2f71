//! The programs that build: found, run within a bound, and their last words kept.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::BuildError;

/// What is needed, and which package of Debian has it.
const NEEDED: [(&str, &str); 8] = [
    ("apt-get", "apt"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("dpkg-deb", "dpkg"),
    ("gzip", "gzip"),
    ("mksquashfs", "squashfs-tools"),
    ("xorriso", "xorriso"),
    ("xz", "xz-utils"),
];
/// Where administrators' programs are, for people who do not have these on their path.
const MORE_PLACES: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// How many lines of a program that failed are told.
const LAST_LINES: usize = 5;

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    search_path: String,
}

impl Programs {
    /// Looks for all that is needed.
    pub(super) fn find(search_path: &str) -> Result<Self, BuildError> {
        let search_path = format!("{search_path}:{MORE_PLACES}");
        let is_there = |name: &str| which::which_in(name, Some(&search_path), "/").is_ok();
        let missing = NEEDED.iter().filter(|(program, _)| !is_there(program));
        let (programs, packages): (Vec<_>, Vec<_>) = missing.copied().unzip();
        match programs.is_empty() {
            true => Ok(Self { search_path }),
            false => Err(BuildError::Missing { programs, packages }),
        }
    }

    /// The same, for an image that is dated so.
    pub(super) fn at(self, epoch: u64) -> Runner {
        Runner {
            search_path: self.search_path,
            epoch,
        }
    }
}

/// Runs programs.
#[derive(Debug)]
pub(super) struct Runner {
    search_path: String,
    epoch: u64,
}

/// One run of a program.
pub(super) struct Run<'a> {
    pub program: &'static str,
    pub doing: &'static str,
    pub dir: &'a Path,
    pub limit: Duration,
    /// What it reads; nothing by default.
    pub input: Option<Vec<u8>>,
    /// Where its output goes; it is returned by default.
    pub output: Option<PathBuf>,
}

impl<'a> Run<'a> {
    /// A run in a directory.
    pub(super) fn new(
        program: &'static str,
        doing: &'static str,
        dir: &'a Path,
        limit: Duration,
    ) -> Self {
        Self {
            program,
            doing,
            dir,
            limit,
            input: None,
            output: None,
        }
    }
}

impl Runner {
    /// Runs a program to its end; what it printed. It ends with us.
    pub(super) async fn run<S: AsRef<OsStr>>(
        &self,
        run: Run<'_>,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>, BuildError> {
        let failed = |said: String| BuildError::Program {
            program: run.program,
            doing: run.doing,
            said,
        };
        let stdout = match &run.output {
            Some(path) => {
                Stdio::from(std::fs::File::create(path).map_err(BuildError::io("write", path))?)
            }
            None => Stdio::piped(),
        };
        let mut child = Command::new(run.program)
            .args(args)
            .current_dir(run.dir)
            .env("PATH", &self.search_path)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .stdin(match run.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(stdout)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, &run.input) {
                // Who stops reading says why himself.
                let _ = stdin.write_all(input).await;
            }
        };
        let ended = async { tokio::join!(child.wait_with_output(), feed).0 };
        let output = tokio::time::timeout(run.limit, ended)
            .await
            .map_err(|_| BuildError::TimedOut {
                program: run.program,
                doing: run.doing,
                limit: run.limit,
            })?
            .map_err(|error| failed(error.to_string()))?;
        tracing::debug!(program = run.program, status = %output.status, "ran");
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(failed(last_words(&output.stderr, &output.stdout))),
        }
    }
}

fn last_words(stderr: &[u8], stdout: &[u8]) -> String {
    let said = [stderr, stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let said = said.iter().find(|text| !text.is_empty());
    let lines: Vec<&str> = said.map(|text| text.lines().collect()).unwrap_or_default();
    match lines.get(lines.len().saturating_sub(LAST_LINES)..) {
        Some([]) | None => "it said nothing".to_owned(),
        Some(last) => last.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_those_that_matter() {
        assert_eq!(last_words(b"", b""), "it said nothing");
        assert_eq!(last_words(b" \n", b"out\n"), "out");
        assert_eq!(last_words(b"1\n2\n3\n4\n5\n6\n", b"x"), "2; 3; 4; 5; 6");
    }
}
