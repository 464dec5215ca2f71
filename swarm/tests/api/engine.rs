//! Real engines of this machine, each with a name and a bridge of its own.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rmachine_engine::{Engine, EngineEndpoint};
use rmachine_test_support::skip;
use tempfile::TempDir;

/// How long an engine may take to answer first, and to end.
const START: Duration = Duration::from_secs(90);

/// A running engine; ends with the value.
pub struct Dockerd {
    pub name: String,
    pub port: u16,
    number: usize,
    process: Child,
    dir: TempDir,
    bridge: Bridge,
}

/// The engine's own bridge. Told to have none, it would remove that of the machine's engine.
struct Bridge {
    name: String,
}

impl Bridge {
    fn new(number: usize) -> Option<Self> {
        let name = format!("rsw{number}-{}", std::process::id() % 1_000_000);
        let made = Self { name };
        made.ip(&["link", "add", &made.name, "type", "bridge"])?;
        let net = format!("10.{}.{}.1/24", 200 + number, std::process::id() % 250);
        made.ip(&["addr", "add", &net, "dev", &made.name])?;
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

/// Why no engines can be started here.
pub fn missing() -> Option<&'static str> {
    let has = |program: &str| {
        let tried = Command::new(program).arg("--version").output();
        tried.is_ok_and(|output| output.status.success())
    };
    match () {
        () if std::fs::metadata("/proc/self").unwrap().uid() != 0 => Some("it takes root"),
        () if !has("dockerd") => Some("there is no dockerd program"),
        () if !has("docker") => Some("there is no docker program"),
        () if !has("unshare") => Some("there is no unshare program"),
        () if !Path::new("/usr/bin/busybox").exists() => Some("there is no busybox program"),
        () => None,
    }
}

impl Dockerd {
    /// Starts an engine; `None` where none can run.
    pub async fn start(number: usize) -> Option<Self> {
        let Some(bridge) = Bridge::new(number) else {
            skip("no bridge can be created");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        // Nothing of the machine's own engine is to leak in.
        std::fs::write(file("daemon.json"), "{}").unwrap();
        std::fs::create_dir_all("/etc/docker").unwrap();
        std::fs::create_dir(file("etc")).unwrap();
        let port = free_port();
        let mut started = Self {
            name: format!("node-{number}"),
            port,
            number,
            process: spawn(number, port, &bridge, dir.path()),
            dir,
            bridge,
        };
        match started.answers().await {
            true => Some(started),
            false => {
                skip(&format!("dockerd does not start here: {}", started.log()));
                None
            }
        }
    }

    /// Ends the engine as a power cut would; its data stay.
    pub fn kill(&mut self) {
        self.signal("-KILL");
        self.process.wait().unwrap();
        let containerd = self.dir.path().join("exec/containerd/containerd.pid");
        let containerd = std::fs::read_to_string(containerd).unwrap();
        let args = ["-KILL", containerd.trim()];
        assert!(Command::new("kill").args(args).status().unwrap().success());
    }

    /// Starts it again after [`Self::kill`].
    pub async fn start_again(&mut self) {
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            // Some process may have that number by now.
            let _ = std::fs::remove_file(self.dir.path().join(pid));
        }
        self.process = spawn(self.number, self.port, &self.bridge, self.dir.path());
        let does = self.answers().await;
        assert!(does, "{} does not start again:\n{}", self.name, self.log());
    }

    /// Takes its id away: it starts again as another engine at the same address.
    pub fn forget_id(&self) {
        // Engines before 24.0 keep it with their key, later ones with their data.
        let places = ["etc/key.json", "data/engine-id"].map(|place| self.dir.path().join(place));
        let forgotten = places.iter().map(std::fs::remove_file);
        assert!(forgotten.filter(Result::is_ok).count() > 0);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    async fn answers(&mut self) -> bool {
        let url = format!("tcp://127.0.0.1:{}", self.port);
        let endpoint = EngineEndpoint::without_tls(&url).unwrap();
        let engine = Engine::new(endpoint, START);
        let until = Instant::now() + START;
        while Instant::now() < until && self.process.try_wait().unwrap().is_none() {
            if engine.ping().await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Stops the engine's process where it stands, or lets it go on.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // One that could not be started again has ended.
        if self.process.try_wait().unwrap().is_none() {
            self.signal("-CONT");
            self.signal("-TERM");
        }
        let until = Instant::now() + START;
        while Instant::now() < until && self.process.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        if self.process.try_wait().unwrap().is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Starts the program, with the id and the data that are in the directory.
fn spawn(number: usize, port: u16, bridge: &Bridge, dir: &Path) -> Child {
    let file = |name: &str| dir.join(name);
    let log = File::options().create(true).append(true).open(file("log"));
    let log = log.unwrap();
    // Older engines keep their id in /etc/docker, wherever their data is.
    let own = "hostname \"$0\" && mount --bind \"$1\" /etc/docker && shift && exec \"$@\"";
    Command::new("unshare")
        .args(["--uts", "--mount", "sh", "-c", own])
        .arg(format!("node-{number}"))
        .arg(file("etc"))
        .arg("dockerd")
        .arg("--config-file")
        .arg(file("daemon.json"))
        .arg("--data-root")
        .arg(file("data"))
        .arg("--exec-root")
        .arg(file("exec"))
        .arg("--pidfile")
        .arg(file("pid"))
        .arg(format!("--host=tcp://127.0.0.1:{port}"))
        .arg(format!("--bridge={}", bridge.name))
        .arg("--tls=false")
        .args(["--iptables=false", "--ip-forward=false"])
        .arg(format!("--label=number={number}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A root file system with a shell, as a tar file.
pub fn image(into: &Path) {
    let script = r#"
        set -e
        cd "$0" && mkdir -p root/bin root/tmp root/etc
        cp /usr/bin/busybox root/bin/
        for library in $(ldd /usr/bin/busybox | grep -o '/[^ ]*'); do
            mkdir -p "root$(dirname "$library")"
            cp -L "$library" "root$library"
        done
        for name in sh cat echo sleep ls wc head tail touch true false; do
            ln -s busybox "root/bin/$name"
        done
        tar -C root -cf image.tar .
    "#;
    let made = Command::new("sh").args(["-c", script]).arg(into).status();
    assert!(made.unwrap().success());
}
