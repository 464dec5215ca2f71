use std::env;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rmachine_test_support::skip;
use tempfile::TempDir;

use super::{Image, Ran};

/// The network that every host is on; `lab.sh` makes it.
pub(super) const NETWORK: &str = "rmachine-lab";

/// Marks what a run of the tests made: `<pid>` of the run.
const LABEL: &str = "rmachine-lab.run";

/// The engine that hosts are made on, and the key that opens them all.
#[derive(Debug)]
pub struct Lab {
    url: String,
    /// What makes a container a host here.
    isolation: Vec<&'static str>,
    /// The first address of the hosts' network, and how many it has.
    subnet: (Ipv4Addr, u32),
    keys: TempDir,
    made: AtomicU32,
}

/// The lab, or nothing where there is none; then the reason was printed.
pub fn lab() -> Option<&'static Lab> {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    match LAB.get_or_init(Lab::open) {
        Ok(lab) => Some(lab),
        Err(reason) => {
            let expected = env::var_os("RMACHINE_LAB_ENGINE").is_some();
            assert!(!expected, "{reason}");
            skip(reason);
            None
        }
    }
}

impl Lab {
    fn open() -> Result<Self, String> {
        let url = engine_url()?;
        let mut lab = Self {
            url,
            isolation: Vec::new(),
            subnet: (Ipv4Addr::UNSPECIFIED, 1),
            keys: tempfile::tempdir().map_err(|error| error.to_string())?,
            made: AtomicU32::new(0),
        };
        let found = lab.engine(20, ["info", "--format", "{{.CgroupVersion}}"]);
        if found.code != 0 {
            return Err(format!(
                "no engine answers at {}: {}",
                lab.url,
                found.err.trim()
            ));
        }
        for image in Image::ALL {
            if lab.engine(20, ["image", "inspect", image.name()]).code != 0 {
                let reason = format!(
                    "there is no image {}; run tests/lab/lab.sh up",
                    image.name()
                );
                return Err(reason);
            }
        }
        lab.subnet = lab.subnet()?;
        lab.remove_strays();
        lab.isolation = lab.isolation(found.out.trim())?;
        let key = lab.key();
        let made = Ran::of(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"])
                .arg(&key),
        );
        match made.code {
            0 => Ok(lab),
            _ => Err(format!("ssh-keygen: {}", made.err)),
        }
    }

    /// The address of this machine that hosts reach.
    pub fn gateway(&self) -> std::net::Ipv4Addr {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        let words = ["network", "inspect", "--format", format, NETWORK];
        self.engine_ok(20, words).parse().unwrap()
    }

    /// The engine's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The private key that opens every host, for every user.
    pub fn key(&self) -> PathBuf {
        self.keys.path().join("id_ed25519")
    }

    /// The engine's client with these arguments, which gets `limit` seconds.
    pub fn engine<'a>(&self, limit: u32, args: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(&mut self.command(limit, args))
    }

    /// As [`Lab::engine`]; what it prints, trimmed.
    #[track_caller]
    pub fn engine_ok<'a>(&self, limit: u32, args: impl IntoIterator<Item = &'a str>) -> String {
        self.engine(limit, args).ok()
    }

    pub(super) fn command<'a>(
        &self,
        limit: u32,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([
                "--kill-after=5",
                &limit.to_string(),
                "docker",
                "-H",
                &self.url,
            ])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// A name that nothing else in the lab has.
    pub(super) fn fresh_name(&self, kind: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("lab-{kind}-{}-{number}", std::process::id())
    }

    /// An address of the hosts' network that this run has not used yet; another run may have.
    pub(super) fn fresh_address(&self) -> Ipv4Addr {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (first, count) = self.subnet;
        // The first ones are the network's, and its gateway's; the last is everybody's.
        let usable = count - 16;
        let chosen = std::process::id().wrapping_mul(97).wrapping_add(number) % usable;
        Ipv4Addr::from_bits(first.to_bits() + 8 + chosen)
    }

    pub(super) fn label() -> String {
        format!("{LABEL}={}", std::process::id())
    }

    pub(super) fn isolated(&self) -> impl Iterator<Item = &str> {
        self.isolation.iter().copied()
    }

    fn subnet(&self) -> Result<(Ipv4Addr, u32), String> {
        let format = "{{(index .IPAM.Config 0).Subnet}}";
        let found = self.engine(20, ["network", "inspect", "--format", format, NETWORK]);
        let parsed = found
            .out
            .trim()
            .split_once('/')
            .and_then(|(first, prefix)| {
                let bits: u32 = prefix.parse().ok().filter(|bits| (8..=26).contains(bits))?;
                Some((first.parse().ok()?, 1 << (32 - bits)))
            });
        parsed.ok_or_else(|| {
            format!(
                "there is no network {NETWORK}; run tests/lab/lab.sh up ({})",
                found.err.trim()
            )
        })
    }

    /// Takes away what runs that were cut off have left.
    fn remove_strays(&self) {
        let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
        let filter = format!("label={LABEL}");
        for (list, remove) in [
            (vec!["ps", "-a"], vec!["rm", "-f", "-v"]),
            (vec!["network", "ls"], vec!["network", "rm"]),
        ] {
            let args = [list.as_slice(), &["--filter", &filter, "--format", &format]].concat();
            for line in self.engine(20, args).out.lines() {
                let Some((id, run)) = line.split_once(' ') else {
                    continue;
                };
                if !Path::new("/proc").join(run).exists() {
                    self.engine(60, remove.iter().copied().chain([id]));
                }
            }
        }
    }

    /// How a container gets what systemd and an engine of its own need: `--privileged` where the
    /// machine has all capabilities to give, else those that it has.
    fn isolation(&self, cgroups: &str) -> Result<Vec<&'static str>, String> {
        const PRIVILEGED: &[&str] = &["--privileged"];
        const CAPABLE: &[&str] = &[
            "--cap-add=ALL",
            "--cap-drop=SYS_RESOURCE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
            "--security-opt=systempaths=unconfined",
        ];
        const CGROUPS_1: &[&str] = &[
            "--cgroupns=host",
            "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
        ];
        const CGROUPS_2: &[&str] = &["--cgroupns=private"];
        const DISKS: &[&str] = &[
            "--tmpfs=/run",
            "--tmpfs=/run/lock",
            "--tmpfs=/tmp:exec",
            // An engine's layers cannot lie on a layer.
            "--volume=/var/lib/docker",
        ];
        let cgroups = if cgroups == "2" { CGROUPS_2 } else { CGROUPS_1 };
        let mut refused = String::new();
        for capabilities in [PRIVILEGED, CAPABLE] {
            let flags = [capabilities, cgroups, DISKS].concat();
            let label = Self::label();
            let trial = ["run", "--rm", "--label", &label];
            let image = [Image::Bare.name(), "true"];
            let tried = self.engine(
                60,
                trial.into_iter().chain(flags.iter().copied()).chain(image),
            );
            if tried.code == 0 {
                return Ok(flags);
            }
            refused = tried.err;
        }
        Err(format!(
            "the engine starts no container that can be a host: {}",
            refused.trim()
        ))
    }
}

fn engine_url() -> Result<String, String> {
    if let Ok(url) = env::var("RMACHINE_LAB_ENGINE") {
        return Ok(url);
    }
    let lab =
        env::var_os("RMACHINE_LAB").map_or_else(|| "/var/lib/rmachine-lab".into(), PathBuf::from);
    let socket = lab.join("docker.sock");
    match socket.exists() {
        true => Ok(format!("unix://{}", socket.display())),
        false => Err("there is no lab; run tests/lab/lab.sh up".to_owned()),
    }
}
