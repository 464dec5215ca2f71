//! The client against a real engine behind mutual TLS, with certificates of our own making.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod parties;

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use parties::Party;
use rmachine_engine::{Engine, EngineEndpoint, EngineError, TlsReason, full, reader};
use rmachine_pki::crypto_provider;
use rmachine_test_support::skip;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(30);

/// How long the engine may take to answer first, and to end.
const START: Duration = Duration::from_secs(90);

/// A running engine; ends with the value.
struct Dockerd {
    process: Child,
    port: u16,
    dir: TempDir,
    _bridge: Bridge,
}

/// The engine's own bridge. Told to have none, it would remove that of the machine's engine.
struct Bridge {
    name: String,
}

impl Bridge {
    fn new() -> Option<Self> {
        let name = format!("rmachine-{}", std::process::id() % 100_000);
        let made = Self { name };
        made.ip(&["link", "add", &made.name, "type", "bridge"])?;
        made.ip(&["link", "set", &made.name, "up"])?;
        Some(made)
    }

    fn ip(&self, args: &[&str]) -> Option<()> {
        let status = Command::new("ip").args(args).status();
        status.ok()?.success().then_some(())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.ip(&["link", "del", &self.name]);
    }
}

impl Dockerd {
    /// Starts an engine that shows this server's certificate and lets in this authority's clients;
    /// `None` where none can run.
    async fn start(party: &Party) -> Option<Self> {
        let version = Command::new("dockerd").arg("--version").output();
        let skipped = match version {
            _ if std::fs::metadata("/proc/self").unwrap().uid() != 0 => "it takes root",
            Err(_) => "there is no dockerd program",
            Ok(_) => "",
        };
        if !skipped.is_empty() {
            skip(skipped);
            return None;
        }
        let Some(bridge) = Bridge::new() else {
            skip("no bridge can be created");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let made = party.server("127.0.0.1");
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("ca.pem"), &party.ca).unwrap();
        std::fs::write(file("server.pem"), &made.certificate).unwrap();
        std::fs::write(file("server-key.pem"), made.key.expose()).unwrap();
        // Nothing of the machine's own engine is to leak in.
        std::fs::write(file("daemon.json"), "{}").unwrap();
        let port = free_port();
        let log = File::create(file("log")).unwrap();
        let process = Command::new("dockerd")
            .arg("--config-file")
            .arg(file("daemon.json"))
            .arg("--data-root")
            .arg(file("data"))
            .arg("--exec-root")
            .arg(file("exec"))
            .arg("--pidfile")
            .arg(file("pid"))
            .arg("--tlsverify")
            .arg("--tlscacert")
            .arg(file("ca.pem"))
            .arg("--tlscert")
            .arg(file("server.pem"))
            .arg("--tlskey")
            .arg(file("server-key.pem"))
            .arg(format!("--host=tcp://127.0.0.1:{port}"))
            .arg(format!("--bridge={}", bridge.name))
            .args(["--iptables=false", "--ip-forward=false"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut started = Self {
            process,
            port,
            dir,
            _bridge: bridge,
        };
        match started.answers(party).await {
            true => Some(started),
            false => {
                let log = std::fs::read_to_string(started.dir.path().join("log")).unwrap();
                skip(&format!("dockerd does not start here: {log}"));
                None
            }
        }
    }

    /// Waits for the first answer; an engine that ended will give none.
    async fn answers(&mut self, party: &Party) -> bool {
        let until = Instant::now() + START;
        while Instant::now() < until && self.process.try_wait().unwrap().is_none() {
            if self.engine(party.client(party)).ping().await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    fn engine(&self, config: Arc<ClientConfig>) -> Engine {
        self.engine_named("127.0.0.1", config)
    }

    fn engine_named(&self, host: &str, config: Arc<ClientConfig>) -> Engine {
        let url = format!("tcp://{host}:{}", self.port);
        Engine::new(EngineEndpoint::tls(&url, config).unwrap(), CALL)
    }
}

impl Drop for Dockerd {
    /// Lets the engine end by itself, since it has to end its containerd.
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + START;
        while Instant::now() < until {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free now, and that the system gives to nobody who asks for any.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..32_768).find(free).unwrap()
}

/// A client that trusts the party's servers and shows no certificate.
fn anonymous(party: &Party) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(party.ca.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

async fn refusal(engine: Engine) -> TlsReason {
    match engine.ping().await {
        Err(EngineError::Tls { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn mutual_tls_and_uploads() {
    let (ours, theirs) = (Party::new(), Party::new());
    let Some(dockerd) = Dockerd::start(&ours).await else {
        return;
    };
    lets_in_its_own(&dockerd, &ours).await;
    refuses_everybody_else(&dockerd, &ours, &theirs).await;
    takes_uploads(&dockerd.engine(ours.client(&ours)), dockerd.dir.path()).await;
}

async fn lets_in_its_own(dockerd: &Dockerd, ours: &Party) {
    let engine = dockerd.engine(ours.client(ours));
    let ping = engine.ping().await.unwrap();
    let version = engine.version().await.unwrap();
    assert_eq!(ping.api_version.unwrap().to_string(), version.api_version);
    let info = engine.info().await.unwrap();
    assert_eq!(info["ServerVersion"], version.version.as_str());
}

async fn refuses_everybody_else(dockerd: &Dockerd, ours: &Party, theirs: &Party) {
    // The refusal races with our first request, so that once would prove little.
    for _ in 0..25 {
        for refused in [anonymous(ours), theirs.client(ours)] {
            let engine = dockerd.engine(refused);
            assert_eq!(refusal(engine).await, TlsReason::ClientRefused);
        }
    }
    let engine = dockerd.engine(ours.client(theirs));
    assert_eq!(refusal(engine).await, TlsReason::UnknownAuthority);
    let engine = dockerd.engine_named("localhost", ours.client(ours));
    assert_eq!(refusal(engine).await, TlsReason::NameMismatch);
}

async fn takes_uploads(engine: &Engine, dir: &Path) {
    // The end of an archive, and nothing before it.
    let archive = dir.join("empty.tar");
    std::fs::write(&archive, [0; 1024]).unwrap();
    let archive = tokio::fs::File::open(archive).await.unwrap();
    let mut id = String::new();
    let path = "/images/create?fromSrc=-&repo=made&tag=here";
    let imported = engine.stream(
        Method::POST,
        path,
        "application/x-tar",
        reader(archive),
        |line| {
            id = line["status"].as_str().unwrap_or_default().to_owned();
        },
    );
    imported.await.unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    let image = engine.call(Method::GET, "/images/made:here/json", None);
    assert_eq!(image.await.unwrap()["Id"], id.as_str());

    // Refused at the first look, long before all of it is sent.
    let path = "/images/create?fromSrc=-&repo=NO";
    let endless = reader(tokio::io::repeat(0));
    let refused = engine.stream(Method::POST, path, "application/x-tar", endless, |_| ());
    match refused.await {
        Err(EngineError::Refused { message, .. }) => {
            assert!(message.contains("invalid reference format"), "{message}");
        }
        other => panic!("{other:?}"),
    }

    let mut seen = Vec::new();
    let built = engine.stream(
        Method::POST,
        "/build",
        "application/x-tar",
        full([0; 1024].to_vec()),
        |line| seen.push(line.clone()),
    );
    assert!(
        matches!(built.await, Err(EngineError::Refused { .. })),
        "{seen:?}"
    );
}
