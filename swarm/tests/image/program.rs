use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The static program, built as `install.sh` does, but quickly: an empty root has no loader for
/// the one that other tests run.
pub fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// What the program prints with these arguments.
pub fn output(args: &[&str]) -> Output {
    let output = Command::new(path()).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn build() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = Command::new("timeout")
        .args(["--kill-after=5", "1200", env!("CARGO")])
        .args(["build", "--quiet", "--locked", "--package", "rswarm"])
        .args(["--target", &target, "--message-format", "json"])
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C debuginfo=0 -C strip=symbols",
        )
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    let messages = String::from_utf8(built.stdout).unwrap();
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.unwrap()
}
