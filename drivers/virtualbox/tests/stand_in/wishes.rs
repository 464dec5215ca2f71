use std::path::Path;
use std::time::Duration;

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
    /// DHCP servers keep no addresses, as before 6.1.
    pub old_dhcp: bool,
    /// The host-only addresses that are allowed, as the beginning of their text.
    pub allowed: Vec<String>,
    /// Machines do not listen to their power button.
    pub deaf: bool,
    /// Processors without virtualization.
    pub no_virtualization: bool,
    /// Commands that fail, by how they begin.
    pub failures: Vec<Failure>,
    /// Milliseconds that commands take after they are done, by how they begin.
    pub slow: Vec<(String, u64)>,
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
            old_dhcp: false,
            allowed: (56..64).map(|n| format!("192.168.{n}.")).collect(),
            deaf: false,
            no_virtualization: false,
            failures: Vec::new(),
            slow: Vec::new(),
        }
    }
}

impl Wishes {
    pub fn read(directory: &Path) -> Self {
        let text = std::fs::read(directory.join("wishes.json")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
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

    pub fn linger(&self, words: &[String]) {
        let call = words.join(" ");
        let slow = self
            .slow
            .iter()
            .find(|(begins, _)| call.starts_with(begins));
        if let Some((_, milliseconds)) = slow {
            std::thread::sleep(Duration::from_millis(*milliseconds));
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
