//! The real VirtualBox, in an emulated computer. What takes longer is in `tests/virtualbox-full`.

use std::process::Command;

use rmachine_test_support::skip;

use super::turn;
use crate::lab::{Ran, companion};

#[test]
fn a_vm_is_made_cut_off_gone_on_with_and_removed() {
    let lab = part("lab");
    if lab.code == 77 {
        return skip(&format!("no VirtualBox: {}", lab.err.trim()));
    }
    lab.ok();
    let _turn = turn();
    let steps = part("short").ok();
    assert!(steps.contains("== all "), "{steps}");
}

/// A part of the script, with the programs under test.
fn part(name: &str) -> Ran {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/virtualbox-full");
    let mut command = Command::new(script);
    command
        .arg(name)
        .env("RMACHINE", env!("CARGO_BIN_EXE_rmachine"))
        .env("RMACHINE_COMPANION", companion());
    Ran::of(&mut command)
}
