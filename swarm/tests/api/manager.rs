//! A manager of real engines, and the docker program as its client.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rswarm::api::{Api, ApiSettings, Host, Standing};
use rswarm::cluster::{Cluster, ClusterSettings, EngineTls, NodeStatus, RescheduleSettings};
use rswarm::listen::{ListenAddress, Listener, serve};
use rswarm_discovery::Entry;
use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Filter, Scheduler, Strategy};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::Dockerd;

/// How long one command of the client may take, in seconds.
const COMMAND: &str = "60";

/// How long the nodes may take to be healthy.
const HEALTHY: Duration = Duration::from_secs(30);

/// A manager that listens.
pub struct Manager {
    pub port: u16,
    pub cluster: Cluster,
    config: TempDir,
    _stop: DropGuard,
}

/// What a command of the client came to.
pub struct Done {
    pub out: String,
    pub err: String,
    pub ok: bool,
}

impl Manager {
    pub async fn start(engines: &[Dockerd]) -> Self {
        let filters: Vec<Filter> = [
            "health",
            "port",
            "containerslots",
            "dependency",
            "affinity",
            "constraint",
            "whitelist",
        ]
        .map(|name| name.parse().unwrap())
        .into();
        let cluster = Cluster::new(ClusterSettings {
            refresh_min: Duration::from_secs(30),
            refresh_max: Duration::from_secs(60),
            failure_retry: 3,
            overcommit: Overcommit::default(),
            scheduler: Scheduler::new(Strategy::Spread, filters),
            tls: EngineTls::Off,
            call_limit: Duration::from_secs(10),
            reschedule: RescheduleSettings::default(),
        });
        let entries = engines.iter();
        let entries = entries.map(|engine| format!("127.0.0.1:{}", engine.port).parse().unwrap());
        let entries: BTreeSet<Entry> = entries.collect();
        cluster.set_members(&entries);
        let api = Api::new(
            cluster.clone(),
            ApiSettings {
                standing: Box::new(|| Standing::Primary),
                strategy: "spread".to_owned(),
                filters: vec!["health".to_owned()],
                host: Host::default(),
                create_retry: 0,
                cors: false,
                experimental: false,
            },
        );
        let address: ListenAddress = "tcp://127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(&address).await.unwrap();
        let port = listener.port().unwrap();
        let stop = CancellationToken::new();
        let service = move |request| api.clone().handle(request);
        tokio::spawn(serve(vec![listener], None, service, stop.clone()));
        let started = Self {
            port,
            cluster,
            config: tempfile::tempdir().unwrap(),
            _stop: stop.drop_guard(),
        };
        started
            .until("all nodes are healthy", || {
                let nodes = started.cluster.nodes();
                nodes.len() == engines.len()
                    && nodes.iter().all(|node| node.status == NodeStatus::Healthy)
            })
            .await;
        started
    }

    /// How many clients' connections are open on this side.
    pub fn connections(&self) -> usize {
        let port = format!(":{:04X}", self.port);
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let open = table.lines().filter(|line| {
            let mut words = line.split_whitespace().skip(1);
            let is_ours = words.next().is_some_and(|local| local.ends_with(&port));
            // Established, or ended by the other side only.
            is_ours && matches!(words.nth(1), Some("01" | "08"))
        });
        open.count()
    }

    pub async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let end = Instant::now() + HEALTHY;
        while !so() {
            let nodes = self.cluster.nodes();
            assert!(Instant::now() < end, "not in time: {what}: {nodes:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A command of the client, to be started. It ends in time by itself.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", COMMAND, "docker"]).args(args);
        self.with_environment(command)
    }

    /// A command of the client that is killed by who starts it.
    pub fn command_to_kill(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args);
        self.with_environment(command)
    }

    fn with_environment(&self, mut command: Command) -> Command {
        command
            .env("DOCKER_HOST", format!("tcp://127.0.0.1:{}", self.port))
            .env("DOCKER_CONFIG", self.config.path())
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_TLS_VERIFY");
        command
    }

    /// Runs a command of the client, with this on its standard input.
    pub async fn with_input(&self, args: &[&str], input: Vec<u8>) -> Done {
        let mut command = self.command(args);
        let shown = args.join(" ");
        let output: Output = tokio::task::spawn_blocking(move || {
            command.stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let feeding = std::thread::spawn(move || stdin.write_all(&input));
            let output = child.wait_with_output().unwrap();
            let _ = feeding.join();
            output
        })
        .await
        .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let done = Done {
            out: text(&output.stdout),
            err: text(&output.stderr),
            ok: output.status.success(),
        };
        println!("$ docker {shown}\n{}{}", done.out, done.err);
        done
    }

    /// Runs a command of the client.
    pub async fn docker(&self, args: &[&str]) -> Done {
        self.with_input(args, Vec::new()).await
    }

    /// Runs a command that has to succeed, and returns what it printed, without its last newline.
    pub async fn done(&self, args: &[&str]) -> String {
        let done = self.docker(args).await;
        assert!(done.ok, "docker {args:?}: {}{}", done.out, done.err);
        done.out.trim_end().to_owned()
    }

    /// Runs a command that has to fail, and returns what it says.
    pub async fn fails(&self, args: &[&str]) -> String {
        let done = self.docker(args).await;
        assert!(!done.ok, "docker {args:?} succeeds: {}", done.out);
        done.err.trim_end().to_owned()
    }
}
