use std::path::Path;
use std::process::{Command, Output};

use crate::lab::companion;

/// The static program.
pub fn path() -> &'static Path {
    companion()
}

/// What the program prints with these arguments.
pub fn output(args: &[&str]) -> Output {
    let output = Command::new(path()).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}
