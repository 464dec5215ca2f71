//! The program itself, as a process of its own: what it opens and says can be counted.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wire;

/// How long it may take to become so.
const LIMIT: Duration = Duration::from_secs(90);

const PROGRAM: &str = env!("CARGO_BIN_EXE_rswarm");

/// A running `rswarm`; ends with the value, which sees to it that nothing panicked.
pub struct Rswarm {
    process: Child,
    dir: TempDir,
}

impl Rswarm {
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(Command::new(PROGRAM), args)
    }

    /// Starts the program with a soft and a hard limit of open files.
    pub fn start_with_files(soft: usize, hard: usize, args: &[&str]) -> Self {
        let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limits, "sh", PROGRAM]);
        Self::spawn(shell, args)
    }

    fn spawn(mut program: Command, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let process = program
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, dir }
    }

    /// A manager that answers.
    pub async fn manage(port: u16, args: &[&str]) -> Self {
        let host = format!("tcp://127.0.0.1:{port}");
        let args: Vec<&str> = ["manage", "-H", &host]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let started = Self::start(&args);
        started.until_listening(port).await;
        let answer = wire::get(port, "/_ping").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        started
    }

    /// Waits until it listens on a port of the loopback.
    pub async fn until_listening(&self, port: u16) {
        let end = Instant::now() + LIMIT;
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            assert!(Instant::now() < end, "it does not listen: {}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The soft limit of its open files.
    pub fn files_limit(&self) -> usize {
        let limits = format!("/proc/{}/limits", self.process.id());
        let limits = std::fs::read_to_string(limits).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3));
        soft.unwrap().parse().unwrap()
    }

    /// Ends it as the system does when memory is short.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Sends a signal, as `-STOP`.
    #[allow(dead_code, reason = "not every test sends signals")]
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        let open = PathBuf::from(format!("/proc/{}/fd", self.process.id()));
        std::fs::read_dir(open).unwrap().count()
    }

    /// The most memory that it ever took, in KiB.
    pub fn peak_memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next());
        peak.and_then(|peak| peak.parse().ok()).unwrap()
    }

    /// Waits until it has so many files open.
    pub async fn until_files(&self, what: &str, so: impl Fn(usize) -> bool) {
        let end = Instant::now() + LIMIT;
        while !so(self.files()) {
            let open = self.files();
            assert!(Instant::now() < end, "not in time: {what}: {open} files");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What it logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Rswarm {
    fn drop(&mut self) {
        self.kill();
        let said = self.said();
        if !std::thread::panicking() {
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
