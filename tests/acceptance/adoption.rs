//! A host becomes a machine, and what it was again.

use serde_json::Value;

use crate::lab::{Host, Image, Network};
use crate::person::{CHECK_FAILED, FAILED, Person, Said as _};

/// Everything that could tell that an engine was configured: files with their modes and owners,
/// units in force, who listens.
pub fn configuration(host: &Host) -> String {
    host.sh(
        "cd / && for place in etc/docker etc/default/docker etc/hostname etc/hosts etc/systemd/system \
         lib/systemd/system/docker.service var/lib/rmachine; do
            [ ! -e $place ] || find $place -exec stat -c '%A %U %G %n' {} + -type f -exec sha256sum {} +
         done | sort
         systemctl show -p ExecStart -p DropInPaths docker.service | sed 's/ start_time=.*//'
         systemctl is-enabled docker.service docker.socket
         hostname",
    )
}

/// Changes whenever the engine was started anew.
pub fn incarnation(host: &Host) -> String {
    host.sh("systemctl show -p MainPID -p ActiveEnterTimestampMonotonic docker.service")
}

fn walk(image: Image, user: &str, version: &str) {
    let Some(host) = Host::start(image) else {
        return;
    };
    let before = configuration(&host);
    let me = Person::new();
    me.create("n1", &host, user, &[]).ok();

    let ip = host.ip();
    assert_eq!(
        me.docker("n1", "version -f '{{.Server.Version}}'").ok(),
        version
    );
    assert_eq!(
        me.docker("n1", "info -f '{{.Name}} {{.Driver}}'").ok(),
        "n1 overlay2"
    );
    assert_eq!(me.rmachine(["url", "n1"]).ok(), format!("tcp://{ip}:2376"));
    assert_eq!(me.rmachine(["ip", "n1"]).ok(), ip);
    assert_eq!(me.rmachine(["status", "n1"]).ok(), "Running");
    assert_eq!(me.rmachine(["ssh", "n1", "id", "-un"]).ok(), user);
    assert_eq!(me.rmachine(["ssh", "n1", "exit 7"]).code, 7);
    let row = me.rmachine([
        "ls",
        "--format",
        "{{.Name}} {{.State}} {{.DockerVersion}} {{.Error}}",
    ]);
    assert_eq!(row.ok(), format!("n1 Running v{version}"));
    // The engine's own client on the host still has its socket.
    assert_eq!(host.sh("docker info -f '{{.ServerVersion}}'"), version);

    let running = incarnation(&host);
    let configured = configuration(&host);
    me.rmachine(["provision", "n1"]).ok();
    assert_eq!(
        incarnation(&host),
        running,
        "a second provision restarted the engine"
    );
    assert_eq!(configuration(&host), configured);

    me.rmachine(["rm", "-y", "--restore", "n1"]).ok();
    assert_eq!(configuration(&host), before);
    assert_eq!(host.sh("docker info -f '{{.ServerVersion}}'"), version);
    assert!(!me.machine_dir("n1").exists());
    host.exec("ss -Hltn sport = 2376").ok();
    assert_eq!(host.sh("ss -Hltn sport = 2376"), "");
}

#[test]
fn a_stock_bookworm_becomes_a_machine_and_what_it_was_again() {
    walk(Image::Bookworm, "root", "20.10.24+dfsg1");
}

#[test]
fn a_stock_trixie_becomes_a_machine_and_what_it_was_again() {
    walk(Image::Trixie, "admin", "26.1.5+dfsg1");
}

#[test]
fn the_newest_engine_becomes_a_machine_and_what_it_was_again() {
    walk(Image::Sid, "admin", "28.5.2+dfsg4");
}

#[test]
fn a_host_without_an_engine_gets_the_distributions() {
    let Some(host) = Host::start(Image::Bare) else {
        return;
    };
    let me = Person::new();
    let refused = me.create("n1", &host, "admin", &["--engine-install", "none"]);
    refused.fails(CHECK_FAILED, &["engine"]);
    assert!(!me.machine_dir("n1").exists());
    me.create("n1", &host, "admin", &[]).ok();
    assert_eq!(
        me.docker("n1", "version -f '{{.Server.Version}}'").ok(),
        "20.10.24+dfsg1"
    );
    let running = incarnation(&host);
    me.rmachine(["provision", "n1"]).ok();
    assert_eq!(incarnation(&host), running);
}

#[test]
fn a_host_without_an_engine_gets_it_from_a_script() {
    let Some(host) = Host::start(Image::Bare) else {
        return;
    };
    host.write(
        "/root/get-engine.sh",
        "set -e\nexport DEBIAN_FRONTEND=noninteractive\n\
         apt-get update -q\napt-get install -q -y --no-install-recommends docker.io\n",
    );
    let me = Person::new();
    let script = ["--engine-install", "script", "--engine-install-url"];
    let gone = [&script[..], &["file:///root/no-such-script.sh"]].concat();
    let failed = me.create("n1", &host, "root", &gone);
    failed.fails(FAILED, &["no-such-script.sh"]);
    let here = [&script[..], &["file:///root/get-engine.sh"]].concat();
    me.create("n1", &host, "root", &here).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_machine_survives_a_reboot() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    host.reboot();
    me.docker("n1", "version").ok();
    me.rmachine(["provision", "--dry-run", "n1"]).ok();
}

#[test]
fn engine_options_arrive_unchanged() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let awkward = r#"a b "c" 'd' $HOME %n \e #f;g"#;
    let variable = format!("AWKWARD={awkward}");
    me.create(
        "n1",
        &host,
        "root",
        &[
            "--engine-env",
            &variable,
            "--engine-env",
            "HTTPS_PROXY=http://me:hush@proxy.example:3128/",
            "--engine-label",
            "zone=a b",
            "--engine-opt",
            "log-driver=json-file",
            "--engine-opt",
            "log-opt=max-size=10m",
            "--engine-insecure-registry",
            "registry.example:5000",
            "--engine-registry-mirror",
            "https://mirror.example/",
            "--engine-storage-driver",
            "vfs",
            "--tls-san",
            "n1.example",
        ],
    )
    .ok();
    let info = me.docker("n1", "info -f '{{json .}}'").ok();
    let info: Value = serde_json::from_str(&info).unwrap();
    // The engine tells its labels in any order.
    let mut labels: Vec<String> = serde_json::from_value(info["Labels"].clone()).unwrap();
    labels.sort();
    assert_eq!(labels, ["provider=generic", "zone=a b"]);
    assert_eq!(info["LoggingDriver"], "json-file");
    assert_eq!(info["Driver"], "vfs");
    let proxy = info["HttpsProxy"].as_str().unwrap_or_default();
    assert!(proxy.ends_with("@proxy.example:3128/"), "{proxy}");
    assert_eq!(
        info["RegistryConfig"]["Mirrors"],
        serde_json::json!(["https://mirror.example/"])
    );
    let insecure = &info["RegistryConfig"]["IndexConfigs"]["registry.example:5000"]["Secure"];
    assert_eq!(insecure, &Value::Bool(false));
    let environment = host.sh("tr '\\0' '\\n' </proc/$(cat /run/docker.pid)/environ");
    assert!(
        environment.lines().any(|line| line == variable),
        "{environment}"
    );
    // What can be a password is for root alone, and systemd tells nobody.
    let readable = host.sh("systemctl show docker.service | grep hush || true; \
         find /etc/docker /etc/systemd -type f -perm /044 -exec grep -l hush {} + || true");
    assert_eq!(readable, "");
    let names = host.sh("openssl x509 -in /etc/docker/server.pem -noout -ext subjectAltName");
    assert!(names.contains("DNS:n1.example"), "{names}");
}

#[test]
fn what_the_engine_cannot_do_is_refused_before_anything_is_touched() {
    let Some(host) = Host::start(Image::Trixie) else {
        return;
    };
    let before = (configuration(&host), incarnation(&host));
    let me = Person::new();
    let store = ["--engine-opt", "cluster-store=etcd://10.0.0.1:2379"];
    me.create("n1", &host, "root", &store)
        .fails(CHECK_FAILED, &["cluster-store", "26.1"]);
    assert_eq!((configuration(&host), incarnation(&host)), before);
    assert!(!me.machine_dir("n1").exists());
}

#[test]
fn an_interface_to_advertise_must_be_there() {
    let Some(network) = Network::create() else {
        return;
    };
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let advertise = [
        "--engine-opt",
        "cluster-store=etcd://127.0.0.1:2379",
        "--engine-opt",
        "cluster-advertise=eth1:2376",
    ];
    me.create("n1", &host, "root", &advertise)
        .fails(CHECK_FAILED, &["eth1", "eth0"]);
    host.join(&network);
    me.create("n1", &host, "root", &advertise).ok();
    // Today's client no longer shows it.
    let info = host.sh("curl -s --unix-socket /run/docker.sock http://docker/info");
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(
        info["ClusterAdvertise"],
        format!("{}:2376", host.ip_on(network.name()))
    );
}

#[test]
fn certificates_are_made_anew() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let before = host.read("/etc/docker/server.pem");
    me.rmachine(["regenerate-certs", "-f", "n1"]).ok();
    assert_ne!(host.read("/etc/docker/server.pem"), before);
    me.docker("n1", "version").ok();
    me.rmachine(["regenerate-certs", "-f", "--client-certs", "n1"])
        .ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_ready_machine_is_not_made_twice() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let running = incarnation(&host);
    me.create("n1", &host, "root", &[])
        .fails(FAILED, &["n1", "exists"]);
    assert_eq!(incarnation(&host), running);
    me.docker("n1", "version").ok();
}

#[test]
fn an_engine_in_use_goes_on_with_what_it_has() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    // An image of one directory and a volume: what an owner would not want to lose.
    host.sh("tar -cf - -T /dev/null | docker import - keep:1 && docker volume create kept");
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    assert_eq!(me.docker("n1", "images -q keep:1 | wc -l").ok(), "1");
    assert_eq!(me.docker("n1", "volume ls -q").ok(), "kept");
}
