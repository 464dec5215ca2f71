use std::collections::BTreeSet;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::allowed::{LIST, is_allowed};

/// The variable that names the file to which skipped tests are added, a line each: the test
/// program, the test and the reason, separated by tabs.
pub const RECORD: &str = "RMACHINE_SKIPPED_TESTS";

/// Skips the running test, or a part of it: prints the reason and records the test as skipped. The
/// caller returns.
///
/// # Panics
/// With `CI=true`, unless `tests/allowed-skips` lists the test; when the skip cannot be recorded.
pub fn skip(reason: &str) {
    let current = thread::current();
    // Test harnesses name each test's thread after the test.
    let test = current.name().unwrap_or("(unnamed)");
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(
        !is_ci || is_allowed(LIST, test),
        "{test} was skipped ({reason}); with CI=true only tests in tests/allowed-skips may be"
    );
    // A test of many cases meets the same obstacle in each.
    static REPORTED: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !reported.insert((test.to_owned(), reason.clone())) {
        return;
    }
    // Unlike `eprintln!`, this reaches the real standard error: the harness captures what the
    // macros print and shows it for failed tests only.
    let _ = io::stderr().write_all(format!("\n{test}: skipped: {reason}\n").as_bytes());
    if let Some(path) = env::var_os(RECORD) {
        let recorded = record(path.as_ref(), test, &reason);
        assert!(
            recorded.is_ok(),
            "cannot record a skipped test in {}: {recorded:?}",
            path.display()
        );
    }
}

fn record(path: &Path, test: &str, reason: &str) -> io::Result<()> {
    let program = env::current_exe()?;
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    // One write, so that the lines of tests that run at once do not mix.
    let line = format!("{program}\t{test}\t{reason}\n");
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())
}
