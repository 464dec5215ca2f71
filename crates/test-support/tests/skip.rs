//! Skipping, seen from outside: this test runs its own program again, as a test program that
//! skips.

#![allow(
    clippy::expect_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use rmachine_test_support::{RECORD, skip};

/// Set where this program is the one that skips.
const PLANTED: &str = "RMACHINE_TEST_PLANTED_SKIP";

#[test]
fn planted() {
    if env::var_os(PLANTED).is_some() {
        skip("nothing to\nrun on");
    }
}

/// Runs `planted` alone, with its output captured by the harness as usual.
fn run_planted(ci: bool, record: &Path) -> Output {
    let program = env::current_exe().expect("the test program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", "planted"]);
    command.env(PLANTED, "1").env(RECORD, record);
    if ci {
        command.env("CI", "true");
    } else {
        command.env_remove("CI");
    }
    command.output().expect("the test program starts")
}

#[test]
fn skip_is_shown_past_the_harness_and_recorded() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let record = dir.join(format!("skipped-{}", std::process::id()));
    let output = run_planted(false, &record);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(
        err.contains("planted: skipped: nothing to run on\n"),
        "{err}"
    );
    let recorded = std::fs::read_to_string(&record).expect("the skip was recorded");
    std::fs::remove_file(&record).expect("the record can be removed");
    let (program, rest) = recorded.split_once('\t').expect("fields are separated");
    assert!(program.starts_with("skip-"), "{recorded}");
    assert_eq!(rest, "planted\tnothing to run on\n");
}

#[test]
fn skip_fails_in_ci_unless_listed() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let record = dir.join(format!("skipped-in-ci-{}", std::process::id()));
    let output = run_planted(true, &record);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{out}");
    assert!(out.contains("tests/allowed-skips"), "{out}");
    assert!(!record.exists(), "a failed test was recorded as skipped");
}
