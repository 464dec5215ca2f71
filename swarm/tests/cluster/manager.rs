use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::lab::Ran;
use crate::party::Party;

/// How long a manager may take to have its nodes, on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// A manager on the loopback. Ends with the value.
pub struct Manager {
    child: Child,
    client: Client,
    log: PathBuf,
}

impl Manager {
    /// Starts a manager of these nodes, and waits until it finds them healthy.
    pub fn start(party: &Party, entries: &[String], more: &[&str]) -> Self {
        let port = free_port();
        let files = party.files("manager");
        let log = files.join(format!("log-{port}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rswarm"));
        command
            .args(["--log-level", "debug", "manage", "--tlsverify"])
            .arg(format!("--tlscacert={}", files.join("ca.pem").display()))
            .arg(format!("--tlscert={}", files.join("cert.pem").display()))
            .arg(format!("--tlskey={}", files.join("key.pem").display()))
            .arg(format!("--host=tcp://127.0.0.1:{port}"))
            .args(more)
            .arg(format!("nodes://{}", entries.join(",")))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        let mut manager = Self {
            child: command.spawn().unwrap(),
            client: Client::new(party, &format!("127.0.0.1:{port}")),
            log,
        };
        manager.wait_for_nodes(entries.len());
        manager
    }

    /// Docker's client with these words, asking this manager. It gets a minute.
    pub fn docker(&self, words: &str) -> Ran {
        Ran::of(&mut self.command(&shlex::split(words).unwrap()))
    }

    /// As [`Manager::docker`], with this on standard input.
    pub fn docker_fed(&self, words: &str, input: &str) -> Ran {
        Ran::with_input(&mut self.command(&shlex::split(words).unwrap()), input)
    }

    /// What the manager has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Who asks this manager.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn command(&self, words: &[String]) -> Command {
        let docker = std::iter::once("docker");
        let words = docker.chain(words.iter().map(String::as_str));
        self.client.command(words)
    }

    fn wait_for_nodes(&mut self, nodes: usize) {
        let until = Instant::now() + START;
        loop {
            let info = self.docker("info");
            if info.out.matches("Status: Healthy").count() == nodes {
                return;
            }
            let alive = self.child.try_wait().unwrap().is_none();
            assert!(alive && Instant::now() < until, "{info:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
