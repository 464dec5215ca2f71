//! Reads the versions of the libraries that matter for security from the workspace's lock file.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Crates that are, or bundle, cryptography and protocols.
const LIBRARIES: [&str; 6] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "hyper",
    "libssh2-sys",
    "rustls",
    "rustls-webpki",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let path = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", path.display());
    let lock = fs::read_to_string(path)?;
    let mut versions = Vec::new();
    for library in LIBRARIES {
        let entry = format!("name = \"{library}\"\nversion = \"");
        let (_, rest) = lock
            .split_once(&entry)
            .ok_or_else(|| format!("Cargo.lock has no {library}"))?;
        let (version, _) = rest.split_once('"').ok_or("Cargo.lock is cut off")?;
        versions.push(format!("{library} {version}"));
    }
    println!("cargo::rustc-env=LOCKED_LIBRARIES={}", versions.join(";"));
    Ok(())
}
