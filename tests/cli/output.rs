use std::process::Stdio;

use crate::world::World;

#[test]
fn tells_its_version() {
    let world = World::new();
    let version = format!("rmachine version {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["--version"][..], &["-v"], &["version"]] {
        assert_eq!(world.run(args).data(), version);
    }
}

#[test]
fn verbose_version_lists_security_relevant_libraries() {
    let world = World::new();
    let out = world.run(["version", "-v"]).data();
    assert!(out.starts_with("rmachine version "), "{out}");
    for library in ["aws-lc-sys 0.", "rustls 0.", "libssh2", "OpenSSL"] {
        let count = out.lines().filter(|line| line.contains(library)).count();
        assert_eq!(count, 1, "{library}: {out}");
    }
    world.run(["version", "-v", "n1"]).failure(2);
}

#[cfg(not(feature = "native-ssh"))]
#[test]
fn native_ssh_that_is_left_out_is_an_error() {
    let world = World::new();
    let config = serde_json::json!({"MachineName": "n1", "IPAddress": "127.0.0.1",
        "SSHUser": "root", "SSHPort": 22});
    world.machine_of("generic", "n1", &config, |_| {});
    let ran = world.run(["--native-ssh", "ssh", "n1", "true"]);
    let text = ran.failure(1);
    assert!(text.contains("no built-in ssh client"), "{text}");
    assert!(text.contains("hint: unset MACHINE_NATIVE_SSH"), "{text}");
}

#[test]
fn help_is_data_and_wrong_usage_is_not() {
    let world = World::new();
    for args in [
        &["--help"][..],
        &["help"],
        &["help", "env"],
        &["env", "--help"],
        &["ls", "-h"],
    ] {
        let out = world.run(args).data();
        assert!(out.contains("Usage: rmachine"), "{args:?}: {out}");
    }
    world.run::<&str>([]).failure(2);
    world.run(["nosuch"]).failure(2);
    world.run(["ls", "--nosuch"]).failure(2);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let world = World::new();
    world.machine("n1", "tcp://10.0.0.1:2376", |_| {});
    for args in [
        &["ip", "n1"][..],
        &["inspect", "n1"],
        &["ls", "-q"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.command(args);
        let output = command.stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(output.stderr, b"", "{args:?}");
    }
}

#[test]
fn global_flags_stand_anywhere() {
    let world = World::new();
    world.machine("n1", "tcp://10.0.0.1:2376", |_| {});
    let root = world.root();
    let root = root.to_str().unwrap();
    for args in [
        &["-s", root, "ip", "n1"][..],
        &["ip", "-s", root, "n1"],
        &["ip", "n1", "--storage-path", root],
    ] {
        let mut command = world.command(args);
        command.env_remove("MACHINE_STORAGE_PATH");
        let ran = crate::world::Ran::of(&mut command);
        assert_eq!(ran.data(), "10.0.0.1\n");
    }
    for args in [&["-D", "ip", "n1"][..], &["ip", "n1", "--debug"]] {
        assert_eq!(world.run(args).out, "10.0.0.1\n");
    }
    let mut command = world.command(["ip", "n1"]);
    command.env("MACHINE_DEBUG", "");
    assert_eq!(crate::world::Ran::of(&mut command).data(), "10.0.0.1\n");
}

#[test]
fn errors_are_events_on_request() {
    let world = World::new();
    let text = world.run(["--progress", "json", "ip", "nosuch"]).failure(4);
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["text"], "there is no machine nosuch");
    assert_eq!(event["exit_code"], 4);
    assert_eq!(event["hints"][0], "rmachine ls");
}
