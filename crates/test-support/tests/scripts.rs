//! The scripts that judge and count: `tests/totals.awk` and `.ci/advisories`.

#![allow(
    clippy::expect_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A new directory for one test.
fn directory(name: &str) -> PathBuf {
    let name = format!("{name}-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).expect("the directory can be created");
    dir
}

#[test]
fn totals_count_each_skipped_test_once_and_not_as_passed() {
    let dir = directory("totals");
    let (log, skipped) = (dir.join("log"), dir.join("skipped"));
    let program = |name: &str, lines: &str| {
        format!("     Running unittests src/lib.rs (target/debug/deps/{name})\n{lines}")
    };
    let one = "test a ... ok\ntest b ... ok\ntest c ... FAILED\ntest result: FAILED. 2 passed; \
               1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    let two = "test a ... ok\ntest c ... ok\n\nc: skipped: x\ntest result: ok. 2 passed; 0 failed; \
               0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    fs::write(&log, program("one-1", one) + &program("two-2", two)).expect("written");
    let recorded = "one-1\ta\tno engine\none-1\ta\tno shell\none-1\tc\tno shell\n\
                    two-2\tc\tno engine\n";
    fs::write(&skipped, recorded).expect("written");
    let output = Command::new("awk")
        .args(["-F", "\t", "-f", &format!("{ROOT}/tests/totals.awk")])
        .args([&log, &skipped])
        .output()
        .expect("awk starts");
    fs::remove_dir_all(&dir).expect("removed");
    let out = String::from_utf8_lossy(&output.stdout);
    // Of four that passed for the harness, `a` of the first program and `c` of the second were
    // skipped; `c` of the first failed.
    assert_eq!(out, "1 ignored\n2 passed, 1 failed, 2 skipped\n");
}

/// The exit status of `.ci/advisories` with a cargo that ends like this when it fetches the
/// database, and like that when it checks.
fn advisories(fetch: i32, check: i32) -> Option<i32> {
    let dir = directory(&format!("advisories-{fetch}-{check}"));
    let cargo = dir.join("cargo");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n'deny fetch db') exit {fetch} ;;\n\
         'deny check advisories') exit {check} ;;\nesac\nexit 9\n"
    );
    fs::write(&cargo, script).expect("written");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("made executable");
    let path = env::var("PATH").unwrap_or_default();
    let status = Command::new(format!("{ROOT}/.ci/advisories"))
        .env("PATH", format!("{}:{path}", dir.display()))
        .status()
        .expect("the script starts");
    fs::remove_dir_all(&dir).expect("removed");
    status.code()
}

#[test]
fn advisories_tell_a_finding_from_an_unreachable_database() {
    assert_eq!(advisories(0, 0), Some(0));
    assert_eq!(advisories(0, 1), Some(1));
    assert_eq!(advisories(0, 2), Some(1));
    assert_eq!(advisories(1, 0), Some(75));
}
