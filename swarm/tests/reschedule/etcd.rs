use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lab::lab;

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(30);

/// An etcd that the lab's hosts reach, for their engines. Ends with the value.
pub struct Etcd {
    process: Child,
    address: SocketAddr,
    _data: TempDir,
}

impl Etcd {
    /// Starts a server that speaks the version of the API which engines know; nothing where there is
    /// no lab.
    pub fn start() -> Option<Self> {
        let gateway = lab()?.engine_ok(
            20,
            [
                "network",
                "inspect",
                "-f",
                "{{(index .IPAM.Config 0).Gateway}}",
                "bridge",
            ],
        );
        let gateway: Ipv4Addr = gateway.parse().unwrap();
        let port = |at: Ipv4Addr| {
            let listener = TcpListener::bind((at, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let address = port(gateway);
        let peers = port(Ipv4Addr::LOCALHOST);
        let data = tempfile::tempdir().unwrap();
        let started = Command::new("etcd")
            .arg("--enable-v2=true")
            .arg("--data-dir")
            .arg(data.path())
            .arg(format!("--listen-client-urls=http://{address}"))
            .arg(format!("--advertise-client-urls=http://{address}"))
            .arg(format!("--listen-peer-urls=http://{peers}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            println!("skipped: there is no etcd program");
            return None;
        };
        let started = Self {
            process,
            address,
            _data: data,
        };
        let end = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "etcd does not listen on {address}");
            thread::sleep(Duration::from_millis(50));
        }
        Some(started)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
