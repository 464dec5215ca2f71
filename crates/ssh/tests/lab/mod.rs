//! Real sshds on loopback ports, with keys of their own.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rmachine_driver::{Secret, Secrets, SshEndpoint};
use rmachine_ssh::{Backend, ConnectOptions, Environment};
use rmachine_test_support::skip;
use tempfile::TempDir;

pub const PASSPHRASE: &str = "open sesame";

/// A place for one test: keys, an sshd, and what a client needs to reach it.
pub struct Lab {
    dir: TempDir,
    /// What OpenSSH itself cannot take with a blank in its path.
    plain_dir: TempDir,
    port: u16,
    sshd: Option<Child>,
    agent: Option<Child>,
}

impl Lab {
    /// An sshd with these lines in its configuration; `None`, with the reason printed, where there
    /// is no sshd.
    pub fn start(config: &str) -> Option<Self> {
        let mut lab = Self::without_sshd()?;
        lab.start_sshd(config);
        Some(lab)
    }

    /// All but the sshd; its port is chosen.
    pub fn without_sshd() -> Option<Self> {
        for program in ["/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/ssh"] {
            if !Path::new(program).exists() {
                skip(&format!("there is no {program}"));
                return None;
            }
        }
        let dir = tempfile::Builder::new()
            .prefix("rmachine ssh test ")
            .tempdir()
            .unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        let lab = Self {
            dir,
            plain_dir: TempDir::with_prefix("rmachine-ssh-test-").unwrap(),
            port: free_port(),
            sshd: None,
            agent: None,
        };
        lab.make_key("host_ed25519", "ed25519", "");
        lab.make_key("id_ed25519", "ed25519", "");
        lab.authorize("id_ed25519");
        Some(lab)
    }

    pub fn start_sshd(&mut self, config: &str) {
        if nix::unistd::Uid::current().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let path = |name: &str| format!("\"{}\"", self.path(name).display());
        let text = format!(
            "Port {}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n\
             Subsystem sftp internal-sftp\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile {}\nMaxStartups 100\n{config}\nSetEnv {}\n{}",
            self.port,
            path("authorized_keys"),
            self.home(),
            if config.contains("HostKey ") {
                String::new()
            } else {
                format!("HostKey {}\n", path("host_ed25519"))
            },
        );
        fs::write(self.path("sshd_config"), text).unwrap();
        let log = fs::File::create(self.path("sshd.log")).unwrap();
        self.sshd = Some(
            Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(self.path("sshd_config"))
                .stdin(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap(),
        );
        self.await_port();
    }

    fn await_port(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                panic!(
                    "no sshd after 20 s: {}",
                    fs::read_to_string(self.path("sshd.log")).unwrap()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop_sshd(&mut self) {
        stop(self.sshd.take());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The person's ssh_config. OpenSSH hands its path to jump hosts' ssh without quotes.
    pub fn ssh_config(&self) -> PathBuf {
        self.plain_dir.path().join("ssh_config")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn make_key(&self, name: &str, kind: &str, passphrase: &str) {
        for old in [name.to_owned(), format!("{name}.pub")] {
            let _ = fs::remove_file(self.path(&old));
        }
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-C", "", "-f"])
            .arg(self.path(name))
            .status()
            .unwrap();
        assert!(made.success());
    }

    pub fn public_key(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    pub fn authorize(&self, name: &str) {
        let mut text = fs::read_to_string(self.path("authorized_keys")).unwrap_or_default();
        text.push_str(&self.public_key(name));
        fs::write(self.path("authorized_keys"), text).unwrap();
    }

    /// Starts an agent that holds this key.
    pub fn start_agent(&mut self, name: &str) {
        let socket = self.agent_socket();
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.agent = Some(child);
        while !socket.exists() {
            thread::sleep(Duration::from_millis(10));
        }
        self.write_program("askpass", &format!("#!/bin/sh\necho '{PASSPHRASE}'\n"));
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(self.path(name))
            .env("SSH_AUTH_SOCK", &socket)
            .env("SSH_ASKPASS", self.path("bin/askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(added.success());
    }

    pub fn agent_socket(&self) -> PathBuf {
        self.path("agent")
    }

    /// Puts a program where only this sshd's sessions find it, before all others.
    pub fn write_program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The line of sshd's configuration that makes those programs found.
    pub fn search_programs_first(&self) -> String {
        format!(
            "SetEnv {} PATH=\"{}:/usr/local/bin:/usr/bin:/bin\"",
            self.home(),
            self.path("bin").display()
        )
    }

    /// What the login's own shell says at its start is no part of a test.
    fn home(&self) -> String {
        format!("HOME=\"{}\"", self.path("bin").display())
    }

    pub fn endpoint(&self) -> SshEndpoint {
        SshEndpoint {
            host: "127.0.0.1".parse().unwrap(),
            port: Some(self.port),
            user: Some(user()),
            identity: Some(self.path("id_ed25519")),
            known_hosts: self.path("known_hosts"),
            host_key_alias: "box".to_owned(),
            use_ssh_config: false,
            sudo_password_file: None,
        }
    }

    pub fn options(&self, backend: Backend) -> ConnectOptions {
        ConnectOptions {
            backend: Some(backend),
            limit: Duration::from_secs(30),
            interactive: false,
            environment: Environment {
                search_path: std::env::var_os("PATH"),
                home: None,
                agent_socket: self.agent.is_some().then(|| self.agent_socket()),
                ssh_config: Some(self.ssh_config()),
                temp_dir: self.path("tmp"),
            },
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        stop(self.sshd.take());
        stop(self.agent.take());
    }
}

fn stop(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

/// The user who runs the tests: whoever that is can log in.
pub fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .unwrap()
        .unwrap()
        .name
}

/// Gives one answer to everything, and remembers the questions.
pub struct Answers {
    answer: Secret,
    pub questions: Mutex<Vec<String>>,
}

impl Answers {
    pub fn new(answer: &str) -> Self {
        Self {
            answer: Secret::new(answer),
            questions: Mutex::default(),
        }
    }
}

impl Secrets for Answers {
    fn ask(&self, prompt: &str) -> Option<Secret> {
        self.questions.lock().unwrap().push(prompt.to_owned());
        Some(self.answer.clone())
    }
}

/// A wire to an sshd that counts connections and can be cut.
pub struct Wire {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    hung_up: Arc<AtomicUsize>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            hung_up: Arc::default(),
            ends: Arc::default(),
        };
        let (connections, ends) = (Arc::clone(&wire.connections), Arc::clone(&wire.ends));
        let hung_up = Arc::clone(&wire.hung_up);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                connections.fetch_add(1, Ordering::SeqCst);
                ends.lock().unwrap().push(near.try_clone().unwrap());
                ends.lock().unwrap().push(far.try_clone().unwrap());
                let pair = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let hung_up = Arc::clone(&hung_up);
                thread::spawn(move || {
                    carry(near, far);
                    hung_up.fetch_add(1, Ordering::SeqCst);
                });
                thread::spawn(move || carry(pair.1, pair.0));
            }
        });
        wire
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them the client has ended.
    pub fn hung_up(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }

    pub fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = [0; 65536];
    let mut forward = || -> io::Result<bool> {
        let length = from.read(&mut chunk)?;
        to.write_all(&chunk[..length])?;
        Ok(length > 0)
    };
    while matches!(forward(), Ok(true)) {}
    let _ = to.shutdown(Shutdown::Write);
}

/// Waits until something holds, for as long as any machine may need.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
