//! The manager, a process of its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::samples::Look;
use crate::wire;

/// How long all nodes may take to be healthy.
const HEALTHY: Duration = Duration::from_secs(60);

/// A manager that runs; ends with the value.
pub struct Manager {
    pub port: u16,
    process: Child,
    log: PathBuf,
}

impl Manager {
    /// Starts a manager of the engines in a file.
    pub fn start(program: &Path, entries: &Path, dir: &Path) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let log = dir.join("log");
        let process = Command::new(program)
            .args(["manage", "-H", &format!("tcp://127.0.0.1:{port}")])
            // Long enough for the engines' restarts to move no containers.
            .args(["--heartbeat=1s", "--cluster-opt=swarm.rescheduledelay=1h"])
            .arg(format!("file://{}", entries.display()))
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()?;
        Ok(Self { port, process, log })
    }

    /// Waits until so many nodes are healthy.
    pub async fn until_healthy(&mut self, nodes: u16) -> io::Result<()> {
        let end = Instant::now() + HEALTHY;
        let all = usize::from(nodes);
        loop {
            let info = wire::ask(self.port, "GET", "/info", "").await;
            let info = info.map(|(_, body)| body).unwrap_or_default();
            if info.matches("\"Healthy\"").count() == all {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(io::Error::other(format!("not all are healthy: {info}")));
            }
            self.look()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What it takes of the machine now.
    pub fn look(&mut self) -> io::Result<Look> {
        if let Some(status) = self.process.try_wait()? {
            let log = std::fs::read_to_string(&self.log)?;
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            let last = last.join("\n");
            return Err(io::Error::other(format!(
                "the manager ended: {status}\n{last}"
            )));
        }
        let proc = PathBuf::from(format!("/proc/{}", self.process.id()));
        let status = std::fs::read_to_string(proc.join("status"))?;
        let resident = status.lines().find_map(|line| {
            let kilobytes = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            kilobytes.parse().ok()
        });
        let mut files = 0;
        for file in std::fs::read_dir(proc.join("fd"))? {
            file?;
            files += 1;
        }
        Ok(Look {
            kilobytes: resident.unwrap_or(0),
            files,
        })
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
