//! The program itself as a manager.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use rmachine_engine::{Engine as Client, EngineEndpoint};
use rmachine_pki::CertifiedPem;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::Engine;
use crate::party::Party;

/// How long anything may take to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// A manager; ends with the value.
pub struct Manager {
    process: Child,
    client: Client,
    nodes: usize,
    dir: TempDir,
}

impl Manager {
    /// Starts a manager of these engines with a certificate, and waits until all are healthy.
    pub async fn start(
        party: &Party,
        made: &CertifiedPem,
        engines: &[&Engine],
        options: &[&str],
    ) -> Self {
        let url = nodes(engines);
        Self::start_with(Some((party, made)), &url, engines.len(), options).await
    }

    /// Starts a manager without TLS.
    pub async fn start_plain(engines: &[&Engine]) -> Self {
        Self::start_with(None, &nodes(engines), engines.len(), &[]).await
    }

    /// Starts a manager with a discovery of so many engines.
    pub async fn start_with(
        tls: Option<(&Party, &CertifiedPem)>,
        discovery: &str,
        nodes: usize,
        options: &[&str],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let log = File::create(file("log")).unwrap();
        let port = free_port();
        let url = format!("tcp://127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rswarm"));
        command.arg("manage").arg(format!("--host={url}"));
        let endpoint = match tls {
            None => EngineEndpoint::without_tls(&url).unwrap(),
            Some((party, made)) => {
                fs::write(file("cert.pem"), &made.certificate).unwrap();
                fs::write(file("key.pem"), made.key.expose()).unwrap();
                command
                    .arg("--tlsverify")
                    .arg(format!("--tlscacert={}", party.file("ca.pem").display()))
                    .arg(format!("--tlscert={}", file("cert.pem")))
                    .arg(format!("--tlskey={}", file("key.pem")));
                EngineEndpoint::tls(&url, party.client_tls()).unwrap()
            }
        };
        let process = command
            .arg("--cluster-opt=swarm.rescheduledelay=1s")
            .args(options)
            .arg(discovery)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let manager = Self {
            process,
            client: Client::new(endpoint, LIMIT),
            nodes,
            dir,
        };
        let healthy = |status: &str| status.matches("\"Healthy").count() == manager.nodes;
        manager.until_info("all nodes are healthy", healthy).await;
        manager
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.client.call(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()))
    }

    /// The system status of `docker info`, as JSON.
    pub async fn info(&self) -> String {
        match self.client.call(Method::GET, "/info", None).await {
            Ok(info) => info["SystemStatus"].to_string(),
            Err(error) => error.to_string(),
        }
    }

    pub async fn until_info(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let end = Instant::now() + LIMIT;
        loop {
            let info = self.info().await;
            if is_so(&info) {
                return;
            }
            let log = self.log();
            assert!(Instant::now() < end, "not in time: {what}\n{info}\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        self.until_info(what, |_| is_so()).await;
    }

    /// Waits until nodes have containers with this much memory in MiB: only inspecting shows it.
    pub async fn until_inspected(&self, memory: &[u64]) {
        let is_inspected = |info: &str| {
            memory.iter().all(|mib| {
                let line = format!("Reserved Memory\",\"{mib} MiB");
                let nodes = memory.iter().filter(|other| *other == mib).count();
                info.matches(&line).count() == nodes
            })
        };
        self.until_info("all containers are inspected", is_inspected)
            .await;
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

fn nodes(engines: &[&Engine]) -> String {
    let nodes: Vec<&str> = engines.iter().map(|it| it.addr.as_str()).collect();
    format!("nodes://{}", nodes.join(","))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
