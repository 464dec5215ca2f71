//! An emulated computer with a CD drive, a disk as the virtualbox driver makes it, and two network
//! cards.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lab::Ran;

/// How long the emulated computer may take to come up; it takes 20 s where nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// docker-machine's; none of it is written before it is needed.
const DISK: u64 = 20_000_000_000;
/// Where the data's partition begins on it, in bytes.
const PARTITION: u64 = 2048 * 512;

/// The emulated computer. It goes when it is dropped.
pub struct Computer {
    dir: TempDir,
    iso: PathBuf,
    qemu: Option<Child>,
    /// The port of this computer that leads to its sshd.
    pub ssh_port: u16,
    /// The port, there and here, for its engine.
    pub engine_port: u16,
}

impl Computer {
    pub fn start(iso: PathBuf) -> Self {
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
        let mut computer = Self {
            dir,
            iso,
            qemu: None,
            ssh_port,
            engine_port,
        };
        computer.power_on();
        computer
    }

    pub fn power_on(&mut self) {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let network = format!(
            "user,id=nat,hostfwd=tcp:127.0.0.1:{0}-:22,hostfwd=tcp:127.0.0.1:{1}-:{1}",
            self.ssh_port, self.engine_port
        );
        let cd = format!(
            "file={},if=none,id=cd,media=cdrom,readonly=on",
            self.iso.display()
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
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(args.iter().flatten()).stdin(Stdio::null());
        self.qemu = Some(qemu.spawn().unwrap());
    }

    pub fn key(&self) -> String {
        self.dir.path().join("key").display().to_string()
    }

    /// Runs a command as the user `docker`; it gets a minute.
    pub fn ssh(&self, command: &str) -> Ran {
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
    pub fn wait_for(&self, command: &str, expected: impl Fn(&str) -> bool) -> String {
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
    pub fn power_button(&mut self) {
        let mut monitor = UnixStream::connect(self.dir.path().join("monitor")).unwrap();
        monitor.write_all(b"system_powerdown\n").unwrap();
        let began = Instant::now();
        let mut qemu = self.qemu.take().unwrap();
        while qemu.try_wait().unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "it does not switch itself off:\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Damages a file of the data disk's file system so that `e2fsck -p` leaves the repair to its
    /// owner.
    pub fn damage(&self, file: &str) {
        let disk = self.dir.path().join("disk");
        let partition = format!("{}?offset={PARTITION}", disk.display());
        for request in [
            format!("set_inode_field {file} mode 0170000"),
            "set_super_value state 2".to_owned(),
        ] {
            let mut debugfs = Command::new("debugfs");
            let ran = Ran::of(debugfs.args(["-w", "-R", &request, &partition]));
            assert!(!ran.err.contains(file), "{ran:?}");
            ran.ok();
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
        if let Some(qemu) = &mut self.qemu {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
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
