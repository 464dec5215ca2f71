//! The real VirtualBox, in an emulated computer. What takes longer is in `tests/virtualbox-full`.

use std::process::Command;

use super::turn;
use crate::lab::{Ran, companion};

#[test]
fn a_vm_is_made_cut_off_gone_on_with_and_removed() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/virtualbox-full");
    let mut command = Command::new(script);
    command
        .arg("short")
        .env("RMACHINE", env!("CARGO_BIN_EXE_rmachine"))
        .env("RMACHINE_COMPANION", companion());
    let _turn = turn();
    let ran = Ran::of(&mut command);
    if ran.code == 77 {
        eprintln!("skipped: no VirtualBox: {}", ran.err.trim());
        return;
    }
    let steps = ran.ok();
    assert!(steps.contains("== all "), "{steps}");
}
