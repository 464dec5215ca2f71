//! What the heartbeats of agents cost a manager that watches their store.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use rswarm_discovery::{DiscoveryUrl, Entry, StoreOptions, discovery};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::Failure;
use crate::programs::Engines;

/// How often an agent says that it is there: the default of `rswarm join`.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// How long it stays without saying so.
const TTL: Duration = Duration::from_secs(180);

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(20);

/// An etcd of its own, and a way to it that counts what goes over it. End with the value.
pub struct Store {
    process: Child,
    server: SocketAddr,
    counted: SocketAddr,
    bytes: Arc<AtomicU64>,
    _data: TempDir,
}

impl Store {
    /// Starts it; nothing where there is no such program.
    pub async fn start() -> Result<Option<Self>, Failure> {
        let (server, peers) = (free()?, free()?);
        let data = tempfile::tempdir()?;
        let started = Command::new("etcd")
            .arg("--enable-v2=true")
            .arg("--data-dir")
            .arg(data.path())
            .arg(format!("--listen-client-urls=http://{server}"))
            .arg(format!("--advertise-client-urls=http://{server}"))
            .arg(format!("--listen-peer-urls=http://{peers}"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = Arc::new(AtomicU64::new(0));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let store = Self {
            process,
            server,
            counted: listener.local_addr()?,
            bytes: Arc::clone(&bytes),
            _data: data,
        };
        let listens = async {
            while TcpStream::connect(server).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START, listens)
            .await
            .map_err(|_| "etcd does not listen")?;
        tokio::spawn(pass_on(listener, server, bytes));
        Ok(Some(store))
    }

    /// Lets an agent say for ever that each engine is there, as 1,000 agents do: not all at once.
    pub fn register(&self, engines: &Engines) -> Result<(), Failure> {
        let url: DiscoveryUrl = format!("etcd://{}", self.server).parse()?;
        let entries = fs::read_to_string(engines.entries())?;
        for (number, line) in (0_u64..).zip(entries.lines()) {
            let entry: Entry = line.parse()?;
            let agent = discovery(&url, StoreOptions::parse(&[])?)?;
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(number * 10)).await;
                let mut rounds = agent.register(entry, HEARTBEAT, TTL);
                while rounds.next().await.is_some() {}
            });
        }
        Ok(())
    }

    /// Where a manager finds it, with every byte counted.
    pub fn url(&self) -> String {
        format!("etcd://{}", self.counted)
    }

    /// How many bytes went to and fro.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn pass_on(
    listener: tokio::net::TcpListener,
    server: SocketAddr,
    bytes: Arc<AtomicU64>,
) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let bytes = Arc::clone(&bytes);
        tokio::spawn(async move {
            let server = TcpStream::connect(server).await?;
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::try_join!(
                counted(from_client, to_server, &bytes),
                counted(from_server, to_client, &bytes),
            )
        });
    }
}

async fn counted(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    bytes: &AtomicU64,
) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut part = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut part).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        bytes.fetch_add(length as u64, Ordering::Relaxed);
        to.write_all(&part[..length]).await?;
    }
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
