use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A program of the workspace that cargo does not build for a test by itself: what the arguments of
/// `cargo build` name, with these flags for rustc where some are given.
pub fn built(arguments: &[&str], flags: Option<&str>) -> PathBuf {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "1200", env!("CARGO")])
        .args(["build", "--quiet", "--locked", "--message-format", "json"])
        .args(arguments);
    if let Some(flags) = flags {
        command.env("RUSTFLAGS", flags);
    }
    let built = command.output().unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    let messages = String::from_utf8(built.stdout).unwrap();
    let program = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.unwrap()
}
