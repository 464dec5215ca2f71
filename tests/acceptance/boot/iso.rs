//! The ISO that `rmachine iso build` makes, booted for real: an emulated computer with a CD drive,
//! a disk as the virtualbox driver makes it, and two network cards.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::turn;
use crate::lab::Ran;
use crate::person::Person;

/// How long the emulated computer may take to come up; it takes 20 s where nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// docker-machine's; none of it is written before it is needed.
const DISK: u64 = 20_000_000_000;

/// The ISO, built by the program; nothing where that cannot be.
fn built() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/iso.sh");
    let mut command = Command::new("sh");
    let ran = Ran::of(command.args([script, env!("CARGO_BIN_EXE_rmachine")]));
    match ran.code {
        77 => {
            eprintln!("skipped: no ISO to boot: {}", ran.err.trim());
            None
        }
        _ => Some(PathBuf::from(ran.ok())),
    }
}

/// The emulated computer. It goes when it is dropped.
struct Computer {
    dir: TempDir,
    qemu: Child,
    ssh_port: u16,
    engine_port: u16,
}

impl Computer {
    fn start(iso: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        Ran::of(Command::new("ssh-keygen").args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            &at("key"),
        ]))
        .ok();
        disk(&dir.path().join("disk"), &at("key.pub"));
        let [ssh_port, engine_port] = free_ports();
        let network = format!(
            "user,id=nat,hostfwd=tcp:127.0.0.1:{ssh_port}-:22,\
             hostfwd=tcp:127.0.0.1:{engine_port}-:{engine_port}"
        );
        let cd = format!(
            "file={},if=none,id=cd,media=cdrom,readonly=on",
            iso.display()
        );
        let disk = format!("file={},if=none,id=disk,format=raw", at("disk"));
        let log = format!("file:{}", at("console"));
        let monitor = format!("unix:{},server,nowait", at("monitor"));
        let args = [
            ["-accel", "tcg"],
            ["-cpu", "qemu64,+rdrand"],
            ["-smp", "2"],
            ["-m", "1024"],
            ["-device", "ahci,id=sata"],
            ["-drive", &cd],
            ["-device", "ide-cd,drive=cd,bus=sata.0,bootindex=0"],
            ["-drive", &disk],
            ["-device", "ide-hd,drive=disk,bus=sata.1"],
            ["-netdev", &network],
            ["-device", "e1000,netdev=nat"],
            [
                "-netdev",
                "user,id=hostonly,net=192.168.56.0/24,restrict=on",
            ],
            ["-device", "e1000,netdev=hostonly"],
            ["-display", "none"],
            ["-serial", &log],
            ["-monitor", &monitor],
        ];
        let qemu = Command::new("qemu-system-x86_64")
            .args(args.iter().flatten())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            dir,
            qemu,
            ssh_port,
            engine_port,
        }
    }

    fn key(&self) -> String {
        self.dir.path().join("key").display().to_string()
    }

    /// Runs a command as the user `docker`; it gets a minute.
    fn ssh(&self, command: &str) -> Ran {
        let port = self.ssh_port.to_string();
        let known = format!(
            "UserKnownHostsFile={}",
            self.dir.path().join("known").display()
        );
        let mut ssh = Command::new("timeout");
        ssh.args(["60", "ssh", "-i", &self.key(), "-p", &port, "-o", &known])
            .args([
                "-o",
                "StrictHostKeyChecking=accept-new",
                "-o",
                "BatchMode=yes",
            ])
            .args([
                "-o",
                "ConnectTimeout=30",
                "-o",
                "IdentitiesOnly=yes",
                "-F",
                "none",
            ])
            .args(["docker@127.0.0.1", command]);
        Ran::of(&mut ssh)
    }

    /// Waits until a command prints this.
    #[track_caller]
    fn wait_for(&self, command: &str, expected: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let ran = self.ssh(command);
            if ran.code == 0 && expected(ran.out.trim()) {
                return ran.out.trim().to_owned();
            }
            assert!(
                began.elapsed() < BOOT_LIMIT,
                "waited for {command:?}: {ran:?}\n--- the console says:\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn console(&self) -> String {
        let said = fs::read(self.dir.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Presses the power button, and waits until the computer is off.
    fn power_button(&mut self) {
        let mut monitor = UnixStream::connect(self.dir.path().join("monitor")).unwrap();
        monitor.write_all(b"system_powerdown\n").unwrap();
        let began = Instant::now();
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "it does not switch itself off:\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        if thread::panicking() {
            let console = self.console();
            let lines: Vec<&str> = console.lines().collect();
            let last = lines.len().saturating_sub(60);
            eprintln!("--- the console says:\n{}\n---", lines[last..].join("\n"));
        }
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// A disk that asks to be formatted, with a key in the archive that it begins with.
fn disk(path: &Path, public_key: &str) {
    let files = tempfile::tempdir().unwrap();
    let first = "boot2docker, please format-me";
    let ssh = files.path().join(".ssh");
    fs::write(files.path().join(first), "").unwrap();
    fs::create_dir(&ssh).unwrap();
    fs::copy(public_key, ssh.join("authorized_keys")).unwrap();
    fs::copy(public_key, ssh.join("authorized_keys2")).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(files.path()).arg("-cf").arg(path);
    Ran::of(tar.args([first, ".ssh"])).ok();
    File::options()
        .write(true)
        .open(path)
        .and_then(|disk| disk.set_len(DISK))
        .unwrap();
}

fn free_ports() -> [u16; 2] {
    [(); 2]
        .map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
        .map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn a_built_iso_boots_and_becomes_a_machine_that_outlives_a_reboot() {
    let Some(iso) = built() else {
        return;
    };
    let _turn = turn();
    let mut computer = Computer::start(&iso);
    let began = computer.wait_for("cat /proc/sys/kernel/random/boot_id", |id| !id.is_empty());

    // What boot2docker promises.
    let says = |command: &str| computer.ssh(command).ok();
    assert_eq!(says("sudo id -u; id -un"), "0\ndocker");
    assert!(says("cat /etc/os-release").contains("\nID=boot2docker\n"));
    let arguments = says("cat /proc/cmdline");
    let weaker = [
        "mitigations",
        "nokaslr",
        "nosmap",
        "nosmep",
        "apparmor",
        "security",
    ];
    assert!(
        !weaker.iter().any(|word| arguments.contains(word)),
        "{arguments}"
    );
    assert_eq!(says("ls /sys/class/net | grep -c eth"), "2");
    let source = "findmnt -n -o SOURCE /var/lib/docker; cat /proc/swaps | grep -c /dev/";
    assert_eq!(says(source), "/dev/sda1[/var/lib/docker]\n1");
    assert!(says("sudo ls /var/lib/boot2docker").contains("userdata.tar"));
    let version = computer.wait_for("docker version -f '{{.Server.Version}}'", |said| {
        said.starts_with("20.10.")
    });
    let release = says("sed -n 's/^VERSION=//p' /etc/os-release");
    assert!(version.starts_with(&release), "{version} {release}");
    assert_eq!(says("docker info -f '{{.Driver}}'"), "overlay2");
    let security = says("docker info -f '{{.SecurityOptions}}'");
    assert!(
        security.contains("apparmor") && security.contains("seccomp"),
        "{security}"
    );

    // It becomes a machine.
    let me = Person::new();
    let (ssh_port, engine_port) = (
        computer.ssh_port.to_string(),
        computer.engine_port.to_string(),
    );
    let key = computer.key();
    let args = [
        ["create", "-d"],
        ["generic", "--generic-ip-address"],
        ["127.0.0.1", "--generic-ssh-port"],
        [&ssh_port, "--generic-ssh-user"],
        ["docker", "--generic-ssh-key"],
        [&key, "--generic-engine-port"],
        [&engine_port, "--engine-label"],
        ["zone=a", "n1"],
    ];
    me.rmachine(args.iter().flatten()).ok();
    assert_eq!(
        me.docker("n1", "version -f '{{.Server.Version}}'").ok(),
        version
    );
    // Engines tell labels in no order.
    let info = me.docker("n1", "info -f '{{.Name}} {{.Labels}}'").ok();
    for word in ["n1 [", "zone=a", "provider=generic"] {
        assert!(info.contains(word), "{info}");
    }
    me.docker("n1", "volume create kept").ok();
    // What is as it should be is left alone.
    let running = says("cat /run/docker.pid");
    me.rmachine(["provision", "n1"]).ok();
    assert_eq!(says("cat /run/docker.pid"), running);

    // It is the same after a reboot: its name, its keys, its engine behind the same certificates.
    me.rmachine(["restart", "n1"]);
    computer.wait_for("cat /proc/sys/kernel/random/boot_id", |id| id != began);
    computer.wait_for("docker version -f ok", |said| said == "ok");
    assert_eq!(computer.ssh("hostname").ok(), "n1");
    assert_eq!(me.docker("n1", "volume ls -q").ok(), "kept");
    me.rmachine(["provision", "n1"]).ok();

    computer.power_button();
}
