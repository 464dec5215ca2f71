//! Somebody who types commands: a home directory, a store in it, and the program.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Host, Ran, companion};

/// The exit codes of `docs/exit-codes.md`.
pub const FAILED: i32 = 1;
pub const CHECK_FAILED: i32 = 3;
pub const UNKNOWN_MACHINE: i32 = 4;
pub const NOT_RUNNING: i32 = 5;
pub const BUSY: i32 = 6;
pub const CONNECTION: i32 = 8;

/// Seconds that no command of a test may take; the program's own bounds lie below.
const COMMAND_LIMIT: &str = "900";

#[derive(Debug)]
pub struct Person {
    home: TempDir,
}

impl Person {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// The program with these arguments, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmachine"));
        self.surround(command.args(args));
        command
    }

    /// Runs the program to its end.
    pub fn rmachine<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", COMMAND_LIMIT])
            .arg(env!("CARGO_BIN_EXE_rmachine"))
            .args(args);
        Ran::of(self.surround(&mut command))
    }

    /// Runs a shell script, in which the program is on the PATH.
    pub fn shell(&self, script: &str) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120", "sh", "-euc", script]);
        Ran::of(self.surround(&mut command))
    }

    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let program = Path::new(env!("CARGO_BIN_EXE_rmachine"));
        let mut path = program.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("SHELL", "/bin/bash")
            .env("MACHINE_STORAGE_PATH", self.store())
            .env("RMACHINE_COMPANION", companion())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
    }

    /// `create` of a machine on a host, entered as a user with the lab's key, with more flags.
    pub fn create_args(&self, name: &str, host: &Host, user: &str, more: &[&str]) -> Vec<String> {
        let key = host.lab().key().display().to_string();
        let ip = host.ip();
        let adopt = ["create", "-d", "generic", "--generic-ip-address", &ip];
        let enter = ["--generic-ssh-user", user, "--generic-ssh-key", &key];
        let words = adopt.iter().chain(&enter).chain(more).chain([&name]);
        words.map(|word| (*word).to_owned()).collect()
    }

    /// As [`Person::create_args`], run to its end.
    pub fn create(&self, name: &str, host: &Host, user: &str, more: &[&str]) -> Ran {
        self.rmachine(self.create_args(name, host, user, more))
    }

    /// The engine's client with the environment that `rmachine env` prints.
    pub fn docker(&self, machine: &str, command: &str) -> Ran {
        self.shell(&format!(
            "eval \"$(rmachine env {machine})\"; docker {command}"
        ))
    }

    /// As [`Person::docker`], with the cluster of a master.
    pub fn docker_swarm(&self, master: &str, command: &str) -> Ran {
        self.shell(&format!(
            "eval \"$(rmachine env --swarm {master})\"; docker {command}"
        ))
    }

    /// The machine's record.
    pub fn record(&self, machine: &str) -> Value {
        let path = self.machine_dir(machine).join("config.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    /// The phases that are done, by the record; none of a machine that is not there.
    pub fn phases(&self, machine: &str) -> Vec<String> {
        if !self.machine_dir(machine).exists() {
            return Vec::new();
        }
        let phases = self.record(machine)["Rmachine"]["Phases"].take();
        let phases = phases.as_array().cloned().unwrap_or_default();
        let name = |phase: &Value| phase["Phase"].as_str().unwrap().to_owned();
        phases.iter().map(name).collect()
    }

    pub fn machine_dir(&self, machine: &str) -> PathBuf {
        self.store().join("machines").join(machine)
    }

    /// A file that only its owner reads.
    pub fn private_file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    /// The person's `~/.ssh/config`.
    pub fn ssh_config(&self, text: &str) {
        fs::create_dir(self.home.path().join(".ssh")).unwrap();
        self.private_file(".ssh/config", text);
    }

    /// A key pair that no host knows; the path of the private one.
    pub fn unknown_key(&self, name: &str) -> String {
        let path = self.home.path().join(name).display().to_string();
        Ran::of(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]))
            .ok();
        path
    }
}

/// What a failed run says: an error line, and how to go on where a hint can help.
pub trait Said {
    /// The run failed with this code, after one `error:` line that has all these words, anywhere
    /// in it, its causes and its hints.
    fn fails(&self, code: i32, words: &[&str]);
}

impl Said for Ran {
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let told: Vec<&str> = self
            .err
            .lines()
            .skip_while(|line| !line.starts_with("error: "))
            .collect();
        assert!(!told.is_empty(), "no error line: {self:?}");
        let told = told.join("\n");
        for word in words {
            assert!(told.contains(word), "{word:?} is not said:\n{told}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}
