//! Real stores, in directories of their own. Without an address they listen on the loopback.
#![allow(dead_code, reason = "each test program has its own servers")]

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rmachine_test_support::skip;
use tempfile::TempDir;

/// How long a server may take to come up, or to end.
const START: Duration = Duration::from_secs(60);

/// A server that can be stopped and started. Ends with the value.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    data: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
    dir: TempDir,
}

impl Server {
    /// An etcd; `None`, with the reason printed, where there is none.
    pub fn etcd(v2: bool) -> Option<Self> {
        Self::etcd_at(Ipv4Addr::LOCALHOST, v2)
    }

    /// As [`Server::etcd`], at an address of this machine.
    pub fn etcd_at(at: Ipv4Addr, v2: bool) -> Option<Self> {
        let program = program("etcd")?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let (port, peers) = (free_port(), free_port());
        let client = format!("http://{at}:{port}");
        let peer = format!("http://127.0.0.1:{peers}");
        let arguments = vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            format!("--enable-v2={v2}"),
        ];
        let mut server = Self {
            program,
            arguments,
            data,
            address: (at, port).into(),
            child: None,
            dir,
        };
        server.start();
        Some(server)
    }

    /// A consul that takes sessions of a second; `None`, with the reason printed, where there is
    /// none.
    pub fn consul() -> Option<Self> {
        Self::consul_at(Ipv4Addr::LOCALHOST)
    }

    /// As [`Server::consul`], at an address of this machine.
    pub fn consul_at(at: Ipv4Addr) -> Option<Self> {
        let program = program("consul")?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let port = free_port();
        let [server, lan, wan] = std::array::from_fn(|_| free_port());
        let config = dir.path().join("config.json");
        let settings = format!(
            r#"{{"server": true, "bootstrap_expect": 1, "bind_addr": "127.0.0.1",
                "client_addr": "{at}", "session_ttl_min": "1s", "data_dir": {:?},
                "performance": {{"raft_multiplier": 1}},
                "ports": {{"http": {port}, "server": {server}, "serf_lan": {lan},
                           "serf_wan": {wan}, "dns": -1, "grpc": -1}}}}"#,
            data.display().to_string()
        );
        std::fs::write(&config, settings).unwrap();
        let mut server = Self {
            program,
            arguments: vec!["agent".into(), format!("-config-file={}", config.display())],
            data,
            address: (at, port).into(),
            child: None,
            dir,
        };
        server.start();
        Some(server)
    }

    /// A ZooKeeper; `None`, with the reason printed, where there is none.
    pub fn zookeeper() -> Option<Self> {
        Self::zookeeper_at(Ipv4Addr::LOCALHOST)
    }

    /// As [`Server::zookeeper`], at an address of this machine.
    pub fn zookeeper_at(at: Ipv4Addr) -> Option<Self> {
        let java = program("java")?;
        let jar = "/usr/share/java/zookeeper.jar";
        if !PathBuf::from(jar).exists() {
            skip(&format!("there is no {jar}"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let port = free_port();
        let config = dir.path().join("zoo.cfg");
        let settings = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress={at}\n\
             admin.enableServer=false\n",
            data.display()
        );
        std::fs::write(&config, settings).unwrap();
        let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
        let mut server = Self {
            program: java,
            arguments: ["-cp", jar, main, &config.display().to_string()]
                .map(str::to_owned)
                .to_vec(),
            data,
            address: (at, port).into(),
            child: None,
            dir,
        };
        server.start();
        Some(server)
    }

    /// Starts it, with the data from before if there are any, and waits until it listens.
    pub fn start(&mut self) {
        let log = File::create(self.dir.path().join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(Instant::now() < until, "it does not listen: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a power cut would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Takes all that it has kept away; it must be stopped.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(&self.data).unwrap();
    }

    /// Where it listens, `address:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A loopback address that nobody listens on.
pub fn nobody() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A program on the `PATH`; `None`, with the reason printed, where there is none.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = places.into_iter().find(|place| place.is_file());
    if found.is_none() {
        skip(&format!("there is no program {name}"));
    }
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
