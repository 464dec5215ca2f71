use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::answer::Answer;

/// What a test wants of this VirtualBox and of the computer below.
#[derive(Deserialize)]
#[serde(default)]
pub struct Wishes {
    pub version: String,
    /// Printed before everything, as the wrapper of distributions does.
    pub before: String,
    /// Host-only networks in place of adapters.
    pub macos: bool,
    /// As before 6.1: DHCP servers keep no addresses, and options of later versions are unknown.
    pub old: bool,
    /// The host-only addresses that are allowed, as the beginning of their text.
    pub allowed: Vec<String>,
    /// Machines do not listen to their power button.
    pub deaf: bool,
    /// Guest additions run in the machines, and tell their addresses.
    pub additions: bool,
    /// Machines let nobody in over SSH.
    pub locked_out: bool,
    /// Processors without virtualization.
    pub no_virtualization: bool,
    /// Commands that fail, by how they begin.
    pub failures: Vec<Failure>,
    /// Commands that take their time before they do anything, by how they begin.
    pub slow: Vec<String>,
    /// The call of which number kills who made it, by SIGKILL; the first is 1.
    pub kills_at: usize,
    /// Whether it does what it was asked before that.
    pub kills_after: bool,
}

/// A command that fails, the first `times` times.
#[derive(Deserialize)]
pub struct Failure {
    begins: String,
    exit: u8,
    #[serde(default)]
    out: String,
    err: String,
    #[serde(default = "always")]
    times: u32,
}

fn always() -> u32 {
    u32::MAX
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            version: "7.2.22_Debianr175245".to_owned(),
            before: String::new(),
            macos: false,
            old: false,
            allowed: (56..64).map(|n| format!("192.168.{n}.")).collect(),
            deaf: false,
            additions: false,
            locked_out: false,
            no_virtualization: false,
            failures: Vec::new(),
            slow: Vec::new(),
            kills_at: 0,
            kills_after: false,
        }
    }
}

impl Wishes {
    pub fn read(directory: &Path) -> Self {
        let text = std::fs::read(directory.join("wishes.json")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Waits, if this call is one that takes its time.
    pub fn dawdle(&self, words: &[String]) {
        let call = words.join(" ");
        if self.slow.iter().any(|begins| call.starts_with(begins)) {
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    /// The failure that is due for this call.
    pub fn injected(&self, directory: &Path, words: &[String]) -> Option<Answer> {
        let call = words.join(" ");
        let failure = self.failures.iter().find(|f| call.starts_with(&f.begins))?;
        let calls = std::fs::read_to_string(directory.join("calls")).unwrap_or_default();
        let same = |line: &&str| line.replace('\u{1f}', " ").starts_with(&failure.begins);
        let so_far = calls.lines().filter(same).count();
        (so_far <= failure.times as usize).then(|| Answer {
            exit: failure.exit,
            out: failure.out.clone(),
            err: failure.err.clone(),
        })
    }

    /// Kills who made this call, if it is its turn, and ends.
    pub fn kill_caller(&self, directory: &Path, done: bool) {
        let calls = std::fs::read_to_string(directory.join("calls")).unwrap_or_default();
        if done == self.kills_after && calls.lines().count() == self.kills_at {
            let _ = kill(Pid::parent(), Signal::SIGKILL);
            std::process::exit(1);
        }
    }

    pub fn host_info(&self) -> String {
        let virtualization = if self.no_virtualization { "no" } else { "yes" };
        format!(
            "Host Information:\n\nHost time: 2026-11-21T03:12:46.939000000Z\n\
             Processor online count: 4\nProcessor count: 4\n\
             Processor supports HW virtualization: {virtualization}\n\
             Processor supports PAE: yes\nProcessor#0 speed: 2596 MHz\n\
             Memory size: 16384 MByte\nMemory available: 8192 MByte\nOperating system: Linux\n"
        )
    }
}
