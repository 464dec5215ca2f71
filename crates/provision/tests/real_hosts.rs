//! Facts, plans and their application on real hosts with systemd and an engine.
//!
//! `RMACHINE_PROVISION_HOSTS` names them: lines of `PREFIX`, a command that runs a program as root
//! on the host with our standard input (`docker exec -i h1`). The hosts are changed and put back;
//! they must be stock hosts. `RMACHINE_PROVISION_BARE_HOSTS` names hosts without an engine, which get
//! one. Without them the tests are skipped.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets an error has failed and prints what it measured"
)]

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rmachine_driver::{Report, Secret, Silent};
use rmachine_provision::{
    EngineSettings, ProvisionError, Restored, TlsMaterial, Wanted, apply, converge, plan,
    read_facts, restore,
};
use rmachine_ssh::{Output, Run, Ssh, SshError, Upload};
use rmachine_test_support::skip;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

const STOCK: &str = "RMACHINE_PROVISION_HOSTS";
const BARE: &str = "RMACHINE_PROVISION_BARE_HOSTS";

/// A host behind a command.
struct Host {
    prefix: Vec<String>,
}

impl Host {
    fn spawn(&self, script: &str) -> (Child, Vec<u8>) {
        let child = Command::new(&self.prefix[0])
            .args(&self.prefix[1..])
            .args(["sh", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = format!("main() {{\n{script}\n}}\nmain </dev/null\n").into_bytes();
        (child, input)
    }

    async fn output(&self, script: &str) -> Output {
        let (mut child, input) = self.spawn(script);
        let mut stdin = child.stdin.take().unwrap();
        let feed = async move {
            // A host that is killed stops reading.
            let _ = stdin.write_all(&input).await;
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), feed);
        let output = output.unwrap();
        Output {
            status: output.status.code().unwrap_or(137),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    async fn sh(&self, script: &str) -> String {
        let output = self.output(script).await;
        assert_eq!(output.status, 0, "{script}: {}", output.error_text());
        output.text()
    }

    /// Every file that rmachine may touch, with modes and contents.
    async fn fingerprint(&self) -> String {
        self.sh(
            "for f in /etc/docker /etc/docker/* /etc/systemd/system/docker.service.d \
             /etc/systemd/system/docker.service.d/* /etc/hostname /etc/hosts /var/lib/rmachine; do
               if [ -e \"$f\" ]; then stat -c '%n %a %u:%g %F' \"$f\"; fi
               if [ -f \"$f\" ]; then sha256sum \"$f\"; fi
             done",
        )
        .await
    }

    /// Asks the engine over TLS, as a client.
    async fn ping(&self, tls: &Certificates) -> String {
        self.output(&format!(
            "cat >/tmp/ca.pem <<'E'\n{}E\ncat >/tmp/cert.pem <<'E'\n{}E\ncat >/tmp/key.pem <<'E'\n{}E\n\
             curl -sS -m 20 --cacert /tmp/ca.pem --cert /tmp/cert.pem --key /tmp/key.pem \
             https://127.0.0.1:2376/version || echo \"failed: $?\"",
            tls.ca, tls.certificate, tls.key
        ))
        .await
        .text()
    }
}

#[async_trait]
impl Ssh for Host {
    async fn run(&self, run: &Run<'_>) -> Result<Output, SshError> {
        Ok(self.output(run.script).await)
    }

    async fn upload(&self, _upload: &Upload<'_>) -> Result<(), SshError> {
        unreachable!("provisioning uploads nothing")
    }

    async fn close(&self) {}
}

struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

/// An authority and one certificate that serves both ends.
fn certificates() -> Certificates {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.distinguished_name.push(DnType::CommonName, "authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "host");
    let issuer = Issuer::new(ca, ca_key);
    Certificates {
        ca: ca_pem,
        certificate: leaf.signed_by(&key, &issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn wanted(tls: &Certificates) -> Wanted {
    Wanted {
        hostname: None,
        engine: EngineSettings {
            labels: vec!["provider=generic".to_owned()],
            env: vec!["AWKWARD=a b \"c\" \\ $HOME %n 'd'".parse().unwrap()],
            ..EngineSettings::default()
        },
        tls: TlsMaterial {
            ca: tls.ca.clone(),
            certificate: tls.certificate.clone(),
            key: Secret::new(tls.key.clone()),
        },
    }
}

fn hosts(variable: &str) -> Vec<Host> {
    let Ok(lines) = std::env::var(variable) else {
        skip(&format!("{variable} names no host"));
        return Vec::new();
    };
    lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| Host {
            prefix: line.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

#[tokio::test]
async fn a_stock_host_becomes_a_machine_and_goes_back() {
    for host in hosts(STOCK) {
        let tls = certificates();
        let mut wanted = wanted(&tls);
        let before = host.fingerprint().await;

        let done = converge(&host, &wanted, &Silent).await.unwrap();
        assert!(done.restarted);
        let answer = host.ping(&tls).await;
        assert!(answer.contains("ApiVersion"), "{answer}");
        let env = host
            .sh("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value docker)/environ | grep ^AWK")
            .await;
        assert_eq!(env, "AWKWARD=a b \"c\" \\ $HOME %n 'd'");

        let again = plan(&read_facts(&host).await.unwrap(), &wanted).unwrap();
        assert!(again.is_empty(), "{again}");

        refuses_what_dockerd_refuses(&host, &mut wanted, &tls).await;
        converges_when_it_is_cut_off(&host, &wanted, &tls).await;

        assert_eq!(restore(&host, &Silent).await.unwrap(), Restored::Everything);
        assert_eq!(host.fingerprint().await, before);
        assert_eq!(host.sh("systemctl is-active docker").await, "active");
        assert_eq!(restore(&host, &Silent).await.unwrap(), Restored::Nothing);
    }
}

/// A bad option: the old configuration is back in force, and dockerd's words are in the error.
async fn refuses_what_dockerd_refuses(host: &Host, wanted: &mut Wanted, tls: &Certificates) {
    for bad in ["storage-driver=bogus", "no-such-option=1", "bip=nonsense"] {
        let good = std::mem::take(&mut wanted.engine.options);
        let before = host.fingerprint().await;
        wanted.engine.options = vec![bad.parse().unwrap()];
        let log = match converge(host, wanted, &Silent).await.unwrap_err() {
            ProvisionError::EngineDidNotStart { log, restored, .. } => {
                assert!(restored, "{bad}: {log:?}");
                log
            }
            ProvisionError::ConfigurationInvalid { log } => log,
            other => panic!("{bad}: {other:?}"),
        };
        let word = bad.split('=').next_back().unwrap();
        let name = bad.split('=').next().unwrap();
        assert!(
            log.iter()
                .any(|line| line.contains(word) || line.contains(name)),
            "{bad}: {log:?}"
        );
        println!("{bad}: {log:#?}");
        assert_eq!(host.fingerprint().await, before, "{bad}");
        assert!(host.ping(tls).await.contains("ApiVersion"), "{bad}");
        wanted.engine.options = good;
    }
}

/// The shell is killed at many points: the next run converges to what an unbroken one makes.
async fn converges_when_it_is_cut_off(host: &Host, wanted: &Wanted, tls: &Certificates) {
    let mut flip = wanted.clone();
    for round in 0..12_u32 {
        flip.engine.labels = vec!["provider=generic".to_owned(), format!("round={round}")];
        let killer = KillAfter {
            host,
            delay: Duration::from_millis(u64::from(round) * 70),
        };
        let cut = converge(&killer, &flip, &Silent).await;
        let after = converge(host, &flip, &Silent).await.unwrap();
        println!(
            "round {round}: cut {} then {:?}",
            cut.is_err(),
            after.steps.len()
        );
        let facts = read_facts(host).await.unwrap();
        assert!(facts.unfinished.is_empty(), "round {round}");
        assert!(plan(&facts, &flip).unwrap().is_empty(), "round {round}");
        assert!(host.ping(tls).await.contains("ApiVersion"), "round {round}");
        let json = host.sh("cat /etc/docker/daemon.json").await;
        assert_eq!(json.matches("round=").count(), 1, "round {round}: {json}");
    }
    converge(host, wanted, &Silent).await.unwrap();
}

/// Kills the host's shell some time after a script that changes something began.
struct KillAfter<'h> {
    host: &'h Host,
    delay: Duration,
}

#[async_trait]
impl Ssh for KillAfter<'_> {
    async fn run(&self, run: &Run<'_>) -> Result<Output, SshError> {
        if !run.script.contains("fall_back") {
            return self.host.run(run).await;
        }
        let script = format!("echo $$ >/run/shell.pid\n{}", run.script);
        let kill = async {
            tokio::time::sleep(self.delay).await;
            self.host
                .output("kill -9 $(cat /run/shell.pid) 2>/dev/null; true")
                .await;
        };
        let (output, ()) = tokio::join!(self.host.output(&script), kill);
        Ok(output)
    }

    async fn upload(&self, upload: &Upload<'_>) -> Result<(), SshError> {
        self.host.upload(upload).await
    }

    async fn close(&self) {}
}

/// The owner's `hosts`, and a drop-in with its own command line.
#[tokio::test]
async fn the_owners_configuration_lives_on() {
    for host in hosts(STOCK) {
        let tls = certificates();
        let wanted = wanted(&tls);
        host.sh(
            "mkdir -p /etc/systemd/system/docker.service.d
             printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock --mtu 1400\\n' >/etc/systemd/system/docker.service.d/override.conf
             printf '{\"hosts\": [\"unix:///var/run/docker.sock\", \"tcp://127.0.0.1:2377\"], \"labels\": [\"mine=1\"]}' >/etc/docker/daemon.json
             systemctl daemon-reload; systemctl restart docker",
        )
        .await;
        let before = host.fingerprint().await;
        let shown = Warnings::default();
        converge(&host, &wanted, &shown).await.unwrap();
        assert!(host.ping(&tls).await.contains("ApiVersion"));
        let line = host
            .sh("tr '\\0' ' ' </proc/$(systemctl show -p MainPID --value docker)/cmdline")
            .await;
        println!("{line}");
        assert!(line.contains("--mtu 1400"));
        assert!(line.contains("-H unix:///var/run/docker.sock"));
        assert!(line.contains("-H tcp://127.0.0.1:2377"));
        assert!(shown.0.lock().unwrap().iter().any(|w| w.contains("2377")));
        let json = host.sh("cat /etc/docker/daemon.json").await;
        assert!(json.contains("mine=1") && !json.contains("hosts"), "{json}");
        let again = plan(&read_facts(&host).await.unwrap(), &wanted).unwrap();
        assert!(again.is_empty(), "{again}");
        assert_eq!(apply(&host, &again, &Silent).await.unwrap().steps.len(), 0);

        restore(&host, &Silent).await.unwrap();
        assert_eq!(host.fingerprint().await, before);
        host.sh(
            "rm -r /etc/systemd/system/docker.service.d /etc/docker/daemon.json
             systemctl daemon-reload; systemctl restart docker",
        )
        .await;
    }
}

/// A disk without room: nothing is half-written, and the engine runs on.
#[tokio::test]
async fn a_full_disk_changes_nothing() {
    for host in hosts(STOCK) {
        let tls = certificates();
        host.sh("mkdir -p /etc/docker && mount -t tmpfs -o size=4k tmpfs /etc/docker")
            .await;
        let before = host.fingerprint().await;
        let error = converge(&host, &wanted(&tls), &Silent).await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::DiskFull { .. }),
            "{error:?}"
        );
        restore(&host, &Silent).await.unwrap();
        assert_eq!(host.fingerprint().await, before);
        host.sh("umount /etc/docker").await;
        assert_eq!(host.sh("systemctl is-active docker").await, "active");
    }
}

/// A host without an engine gets the distribution's, which starts with our configuration.
#[tokio::test]
async fn a_bare_host_gets_an_engine() {
    for host in hosts(BARE) {
        let tls = certificates();
        let wanted = wanted(&tls);
        let done = converge(&host, &wanted, &Silent).await.unwrap();
        println!("{:#?}", done.steps);
        assert!(host.ping(&tls).await.contains("ApiVersion"));
        let starts = host
            .sh("journalctl -u docker.service -o cat --no-pager | grep -c 'Started docker.service'")
            .await;
        assert_eq!(starts, "1");
        assert_eq!(
            host.sh("systemctl is-enabled docker docker.socket").await,
            "enabled\nenabled"
        );
        let again = plan(&read_facts(&host).await.unwrap(), &wanted).unwrap();
        assert!(again.is_empty(), "{again}");
    }
}

#[derive(Default)]
struct Warnings(std::sync::Mutex<Vec<String>>);

impl Report for Warnings {
    fn step(&self, _text: &str) {}

    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}
