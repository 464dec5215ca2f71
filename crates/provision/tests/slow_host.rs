//! A host that is too busy to answer every question.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rmachine_provision::{Facts, ProvisionError, facts_script};

#[test]
fn what_is_not_answered_in_time_is_not_taken_for_nothing() {
    let programs = tempfile::tempdir().unwrap();
    let timeout = programs.path().join("timeout");
    std::fs::write(&timeout, "#!/bin/sh\nexit 124\n").unwrap();
    std::fs::set_permissions(&timeout, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        programs.path().display()
    );
    let mut host = Command::new("sh")
        .arg("-s")
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut script = host.stdin.take().unwrap();
    script.write_all(facts_script().as_bytes()).unwrap();
    drop(script);
    let said = host.wait_with_output().unwrap().stdout;
    let error = Facts::parse(&said).unwrap_err();
    assert!(
        matches!(&error, ProvisionError::Unanswered { question } if !question.is_empty()),
        "{error:?}"
    );
}
