use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::program::built;

/// The static program of the companion, built as `install.sh` does, but quickly: an empty root has
/// no loader for the one that other tests run.
pub fn companion() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    built(
        &["--package", "rswarm", "--target", &target],
        Some("-C target-feature=+crt-static -C debuginfo=0 -C strip=symbols"),
    )
}
