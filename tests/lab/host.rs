use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Network;
use super::engine::{Lab, NETWORK, lab};

/// How long a host may take to come up; a loaded machine runs several at a time.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// What is installed on a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Image {
    /// Debian 12 with its engine, 20.10.
    Bookworm,
    /// Debian 13 with its engine, 26.1.
    Trixie,
    /// Debian 13 with the engine of the Debian in development, 28.5.
    Sid,
    /// Debian 12 without any engine.
    Bare,
}

impl Image {
    /// Every image of the lab.
    pub const ALL: [Self; 4] = [Self::Bookworm, Self::Trixie, Self::Sid, Self::Bare];

    /// The image's name on the lab's engine.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "rmachine-lab/bookworm",
            Self::Trixie => "rmachine-lab/trixie",
            Self::Sid => "rmachine-lab/sid",
            Self::Bare => "rmachine-lab/bare",
        }
    }

    fn word(self) -> &'static str {
        self.name().rsplit('/').next().unwrap_or_default()
    }
}

/// A machine that somebody handed over: systemd, sshd, and the users `root`, `admin` (sudo),
/// `careful` (sudo with the password [`Host::PASSWORD`]) and `guest` (no sudo), who all let the
/// lab's key in. Goes when it is dropped.
#[derive(Debug)]
pub struct Host {
    lab: &'static Lab,
    name: String,
}

impl Host {
    /// The password of the user `careful`.
    pub const PASSWORD: &str = "open sesame";

    /// Starts a host and waits until it has come up. Nothing where there is no lab.
    pub fn start(image: Image) -> Option<Self> {
        Self::start_with(image, &[])
    }

    /// As [`Host::start`], with further arguments for `docker run`.
    pub fn start_with(image: Image, more: &[&str]) -> Option<Self> {
        let lab = lab()?;
        let name = lab.fresh_name(image.word());
        let label = Lab::label();
        let (mut tries, mut refused) = (0..5, String::new());
        loop {
            assert!(tries.next().is_some(), "no host can be started: {refused}");
            let address = lab.fresh_address().to_string();
            let run = [
                "run",
                "--detach",
                "--stop-signal=SIGRTMIN+3",
                "--label",
                &label,
            ];
            let placed = ["--network", NETWORK, "--ip", &address];
            let named = ["--name", &name, "--hostname", image.word()];
            let args = run.into_iter().chain(placed).chain(named);
            let args = args.chain(lab.isolated()).chain(more.iter().copied());
            let ran = lab.engine(60, args.chain([image.name()]));
            if ran.code == 0 {
                break;
            }
            // The address may be another run's.
            refused = ran.err;
            lab.engine(30, ["rm", "--force", "--volumes", &name]);
        }
        let host = Self { lab, name };
        let public = std::fs::read_to_string(lab.key().with_extension("pub")).unwrap();
        host.authorize(&public);
        host.wait_until_up();
        Some(host)
    }

    /// The lab that it is in.
    pub fn lab(&self) -> &'static Lab {
        self.lab
    }

    /// Its address on the network that every host is on.
    pub fn ip(&self) -> String {
        self.ip_on(NETWORK)
    }

    /// Its address on a network.
    pub fn ip_on(&self, network: &str) -> String {
        let format = format!(
            "{{{{with index .NetworkSettings.Networks {network:?}}}}}{{{{.IPAddress}}}}{{{{end}}}}"
        );
        self.lab
            .engine_ok(20, ["inspect", "--format", &format, &self.name])
    }

    /// Lets a public key in, as every user.
    pub fn authorize(&self, public_key: &str) {
        let script = "while read -r user home; do
            mkdir -p $home/.ssh && printf '%s\\n' \"$1\" >>$home/.ssh/authorized_keys &&
            chmod 700 $home/.ssh && chmod 600 $home/.ssh/authorized_keys && chown -R $user: $home/.ssh
        done <<END
            root /root
            admin /home/admin
            careful /home/careful
            guest /home/guest
END";
        let args = [
            "exec",
            &self.name,
            "sh",
            "-ec",
            script,
            "sh",
            public_key.trim(),
        ];
        self.lab.engine_ok(20, args);
    }

    /// Runs a shell script as root, past SSH. It gets a minute.
    pub fn exec(&self, script: &str) -> Ran {
        self.lab
            .engine(60, ["exec", &self.name, "sh", "-c", script])
    }

    /// As [`Host::exec`]; what the script prints, trimmed. It must end well.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.exec(script).ok()
    }

    /// Writes a file, and the directories above it.
    #[track_caller]
    pub fn write(&self, path: &str, content: &str) {
        let script = r#"mkdir -p "${1%/*}" && cat >"$1""#;
        let args = [
            "exec",
            "--interactive",
            &self.name,
            "sh",
            "-ec",
            script,
            "sh",
            path,
        ];
        let mut command = self.lab.command(20, args);
        Ran::with_input(&mut command, content).ok();
    }

    /// What a file holds; nothing when it is not there.
    pub fn read(&self, path: &str) -> Option<String> {
        let read = self.lab.engine(20, ["exec", &self.name, "cat", path]);
        (read.code == 0).then_some(read.out)
    }

    /// Freezes it: connections stay open and nothing answers. The kernel cannot freeze a group
    /// while one of its processes is in the middle of a fork; the engine then gives up and thaws
    /// it, so this tries again.
    #[track_caller]
    pub fn pause(&self) {
        let mut attempts = 0;
        loop {
            let ran = self.lab.engine(30, ["pause", &self.name]);
            attempts += 1;
            if ran.code == 0 || attempts == 20 || !ran.err.contains("unable to freeze") {
                ran.ok();
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Undoes [`Host::pause`].
    pub fn unpause(&self) {
        self.lab.engine_ok(30, ["unpause", &self.name]);
    }

    /// Pulls the plug.
    pub fn kill(&self) {
        self.lab.engine_ok(30, ["kill", &self.name]);
    }

    /// Powers it on after [`Host::kill`], and waits until it is up.
    pub fn power_on(&self) {
        self.lab.engine_ok(60, ["start", &self.name]);
        self.wait_until_up();
    }

    /// Reboots it in an orderly way, and waits until it is up.
    pub fn reboot(&self) {
        self.lab
            .engine_ok(90, ["restart", "--time", "30", &self.name]);
        self.wait_until_up();
    }

    /// Attaches it to a network of the test's.
    pub fn join(&self, network: &Network) {
        self.lab
            .engine_ok(30, ["network", "connect", network.name(), &self.name]);
    }

    /// Cuts its lines: nothing that is sent arrives any more.
    pub fn cut_off(&self) {
        self.sh("iptables -I INPUT ! -i lo -j DROP && iptables -I OUTPUT ! -o lo -j DROP");
    }

    /// Undoes [`Host::cut_off`].
    pub fn reconnect(&self) {
        self.sh("iptables -D INPUT ! -i lo -j DROP && iptables -D OUTPUT ! -o lo -j DROP");
    }

    /// Waits until systemd has started all there is to start, and sshd answers.
    fn wait_until_up(&self) {
        let began = Instant::now();
        loop {
            // Early in the boot there is no bus to ask over.
            let state = self.exec("systemctl is-system-running --wait");
            if ["running", "degraded"].contains(&state.out.trim()) && self.sshd_answers() {
                return;
            }
            assert!(
                began.elapsed() < BOOT_LIMIT,
                "{} did not come up: {state:?}\n{}",
                self.name,
                self.exec("systemctl list-jobs; systemctl --failed").out
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn sshd_answers(&self) -> bool {
        let Ok(ip) = self.ip().parse::<IpAddr>() else {
            return false;
        };
        let limit = Duration::from_secs(2);
        let Ok(mut stream) = TcpStream::connect_timeout(&(ip, 22).into(), limit) else {
            return false;
        };
        let mut banner = [0; 4];
        stream.set_read_timeout(Some(limit)).is_ok()
            && stream.read_exact(&mut banner).is_ok()
            && &banner == b"SSH-"
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.exec("journalctl --no-pager -n 40 -u docker -u ssh; ls -l /etc/docker");
            let _ = writeln!(std::io::stderr(), "--- {} says:\n{}---", self.name, log.out);
        }
        if std::env::var_os("RMACHINE_LAB_KEEP").is_none() {
            self.lab
                .engine(60, ["rm", "--force", "--volumes", &self.name]);
        }
    }
}

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Runs a program to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Runs a program to its end, with something to read.
    pub fn with_input(command: &mut Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read gets nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// What was printed, trimmed, by a run that must have gone well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out.trim().to_owned()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
