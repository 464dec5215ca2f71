//! The programs that are measured, and those that they are measured with.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::Failure;
use crate::asks::Client;

/// How often the manager is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// How long a manager that rests does next to nothing.
const REST: Duration = Duration::from_millis(500);

/// Simulated engines. End with the value.
pub struct Engines {
    _process: Running,
    _dir: TempDir,
    entries: PathBuf,
}

/// A manager. Ends with the value.
pub struct Manager {
    process: Running,
    port: u16,
    metrics: Client,
}

struct Running(Child);

impl Engines {
    /// Starts so many with so many containers each.
    pub async fn start(engines: u16, containers: usize, port: u16) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let entries = dir.path().join("entries");
        let program = std::env::current_exe()?.with_file_name("simulated-engines");
        let process = Command::new(&program)
            .args(["--engines", &engines.to_string()])
            .args(["--containers", &containers.to_string()])
            .args(["--port", &port.to_string()])
            .arg("--entries")
            .arg(&entries)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut process = Running(process);
        while !entries.exists() {
            process.alive()?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self {
            _process: process,
            _dir: dir,
            entries,
        })
    }

    /// The file with their addresses, one a line.
    pub fn entries(&self) -> &Path {
        &self.entries
    }

    /// Where a discovery finds them.
    pub fn url(&self) -> String {
        format!("file://{}", self.entries.display())
    }
}

impl Manager {
    /// Starts a manager of the engines of a discovery, and waits until it listens.
    pub async fn start(program: &Path, discovery: &str) -> Result<Self, Failure> {
        let (port, metrics) = (free_port()?, free_port()?);
        let process = Command::new(program)
            .args(["--log-level", "error", "manage"])
            .arg(format!("--host=tcp://127.0.0.1:{port}"))
            .arg(format!("--metrics-addr=tcp://127.0.0.1:{metrics}"))
            .arg(discovery)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut started = Self {
            process: Running(process),
            port,
            metrics: Client::new(metrics),
        };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            started.process.alive()?;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Ok(started)
    }

    /// Where it listens on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until so many engines are healthy.
    pub async fn healthy(&self, engines: u16, limit: Duration) -> Result<(), Failure> {
        let wanted = format!("rswarm_nodes{{status=\"healthy\"}} {engines}\n");
        let until = Instant::now() + limit;
        while Instant::now() < until {
            let (page, _) = self.metrics.get("/metrics").await?;
            if String::from_utf8_lossy(&page).contains(&wanted) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("not all of {engines} engines are healthy within {limit:?}").into())
    }

    /// Waits until it does next to nothing.
    pub async fn rests(&self, limit: Duration) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            let before = self.processor_time()?;
            tokio::time::sleep(REST).await;
            if self.processor_time()? - before < REST / 10 {
                return Ok(());
            }
        }
        Err(format!("it is still at work after {limit:?}").into())
    }

    /// The memory that it holds, in bytes.
    pub fn resident(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = kilobytes.ok_or("there is no VmRSS")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// The processor time that it has taken, by proc(5).
    pub fn processor_time(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()))?;
        let (_, after_name) = stat.rsplit_once(") ").ok_or("there is no name")?;
        let fields: Vec<&str> = after_name.split(' ').collect();
        let ticks = |at: usize| -> Result<u64, Failure> {
            Ok(fields.get(at).ok_or("there is no time")?.parse()?)
        };
        let per_second = sysconf(SysconfVar::CLK_TCK)?.ok_or("there are no ticks")?;
        let ticks = ticks(11)? + ticks(12)?;
        Ok(Duration::from_millis(
            ticks * 1000 / u64::try_from(per_second)?,
        ))
    }
}

impl Running {
    fn alive(&mut self) -> Result<(), Failure> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("it ended at once: {status}").into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
