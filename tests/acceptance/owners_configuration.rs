//! Hosts whose owner has configured the engine, and configurations that do not work.

use serde_json::Value;

use crate::adoption::{configuration, incarnation};
use crate::lab::{Host, Image};
use crate::person::{CHECK_FAILED, FAILED, Person, Said as _};

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// The engine answers on its host, with the configuration that the owner gave it.
fn engine_works(host: &Host) -> bool {
    host.exec("timeout 20 docker info").code == 0
}

#[test]
fn an_engine_that_cannot_start_shows_its_own_words_and_gets_its_configuration_back() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &["--engine-label", "a=b"])
        .ok();
    let before = configuration(&host);

    // Valid to the eye of `dockerd --validate`, and fatal at the start.
    let other = Person::new();
    let bad = [
        "--engine-storage-driver",
        "devicemapper",
        "--engine-opt",
        "storage-opt=dm.nonsense=1",
    ];
    let failed = other.create("n2", &host, "root", &bad);
    failed.fails(FAILED, &["docker.service", "graphdriver"]);
    assert!(engine_works(&host));
    assert_eq!(before_of(&before), before_of(&configuration(&host)));
    // The first machine's certificates are in force again.
    let labels = me.docker("n1", "info -f '{{json .Labels}}'").ok();
    assert!(labels.contains("a=b"), "{labels}");

    // What could not be made is listed with its phase, and goes without a trace.
    let listed = other.rmachine(["ls"]);
    assert!(listed.out.contains("n2"), "{listed:?}");
    other.rmachine(["rm", "-y", "n2"]).ok();
    assert!(!other.machine_dir("n2").exists());
}

/// The configuration without the notes of rmachine's own.
fn before_of(configuration: &str) -> Vec<&str> {
    let ours = |line: &&str| !line.contains("var/lib/rmachine");
    configuration.lines().filter(ours).collect()
}

#[test]
fn an_option_that_no_engine_knows_is_refused_with_the_engines_words() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let before = configuration(&host);
    let running = incarnation(&host);
    let me = Person::new();
    let failed = me.create("n1", &host, "root", &["--engine-opt", "no-such-option=1"]);
    assert_ne!(failed.code, 0, "{failed:?}");
    failed.fails(failed.code, &["no-such-option"]);
    assert!(engine_works(&host));
    let now = configuration(&host);
    assert_eq!(before_of(&before), before_of(&now));
    // It may have been tried and taken back; where it was refused beforehand, nothing happened.
    if failed.code == CHECK_FAILED {
        assert_eq!(incarnation(&host), running);
    }
}

#[test]
fn hosts_of_a_daemon_json_are_kept_and_do_not_clash() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let theirs =
        r#"{"hosts": ["fd://", "unix:///run/other.sock"], "labels": ["owner=me"], "debug": true}"#;
    host.write(DAEMON_JSON, theirs);
    // With `-H` in the unit, that needs the owner's own drop-in, as every guide tells.
    host.write(
        "/etc/systemd/system/docker.service.d/hosts.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock\n",
    );
    host.sh("systemctl daemon-reload && systemctl restart docker");
    let before = configuration(&host);

    let me = Person::new();
    me.create("n1", &host, "root", &["--engine-label", "mine=too"])
        .ok();
    let info: Value = serde_json::from_str(&me.docker("n1", "info -f '{{json .}}'").ok()).unwrap();
    let labels = info["Labels"].as_array().unwrap();
    let has = |label: &str| labels.contains(&label.into());
    assert!(has("owner=me") && has("mine=too"), "{labels:?}");
    assert_eq!(info["Debug"], Value::Bool(true));
    host.sh("docker -H unix:///run/other.sock version && docker version");

    me.rmachine(["rm", "-y", "--restore", "n1"]).ok();
    assert_eq!(configuration(&host), before);
    assert_eq!(host.read(DAEMON_JSON).unwrap(), theirs);
    host.sh("docker -H unix:///run/other.sock version && docker version");
}

#[test]
fn hosts_of_a_daemon_json_that_never_worked_are_made_to_work() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    // The classic mistake: dockerd refuses hosts on its command line and in the file.
    host.write(DAEMON_JSON, r#"{"hosts": ["unix:///run/other.sock"]}"#);
    assert_ne!(host.exec("systemctl restart docker").code, 0);
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    me.docker("n1", "version").ok();
    host.sh("docker -H unix:///run/other.sock version");
}

#[test]
fn a_key_that_conflicts_is_refused_or_ours_and_what_the_owner_had_comes_back() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let theirs = "{\n  \"tls\": false,\n  \"tlscert\": \"/etc/owner/cert.pem\",\n  \"log-driver\": \"json-file\"\n}\n";
    host.write(DAEMON_JSON, theirs);
    let me = Person::new();
    me.create(
        "n1",
        &host,
        "root",
        &["--engine-opt", "log-driver=journald"],
    )
    .ok();
    assert_eq!(
        me.docker("n1", "info -f '{{.LoggingDriver}}'").ok(),
        "journald"
    );
    me.rmachine(["rm", "-y", "--restore", "n1"]).ok();
    assert_eq!(host.read(DAEMON_JSON).unwrap(), theirs);
}

#[test]
fn a_daemon_json_that_is_none_is_named_and_left_alone() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let theirs = "{ \"debug\": true, }\n";
    host.write(DAEMON_JSON, theirs);
    let running = incarnation(&host);
    let me = Person::new();
    me.create("n1", &host, "root", &[])
        .fails(CHECK_FAILED, &[DAEMON_JSON]);
    assert_eq!(host.read(DAEMON_JSON).unwrap(), theirs);
    assert_eq!(incarnation(&host), running);
}

#[test]
fn a_drop_in_with_an_exec_start_of_its_own_keeps_its_flags() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    host.write(
        "/etc/systemd/system/docker.service.d/owner.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://127.0.0.1:2375 \\\n  \
         --containerd=/run/containerd/containerd.sock --label owner=dropin --default-ulimit nofile=1024:2048\n",
    );
    host.sh("systemctl daemon-reload && systemctl restart docker");
    let before = configuration(&host);
    let me = Person::new();
    me.create("n1", &host, "root", &["--engine-label", "mine=too"])
        .ok();
    let labels = me.docker("n1", "info -f '{{json .Labels}}'").ok();
    assert!(
        labels.contains("owner=dropin") && labels.contains("mine=too"),
        "{labels}"
    );
    let line = host.sh("tr '\\0' ' ' </proc/$(cat /run/docker.pid)/cmdline");
    assert!(line.contains("nofile=1024:2048"), "{line}");
    host.sh("docker version");
    me.rmachine(["rm", "-y", "--restore", "n1"]).ok();
    assert_eq!(configuration(&host), before);
    host.sh("docker -H tcp://127.0.0.1:2375 version");
}

#[test]
fn a_full_disk_is_found_before_anything_is_touched() {
    let Some(host) = Host::start_with(Image::Bookworm, &["--tmpfs=/etc/docker:size=1m"]) else {
        return;
    };
    let before = configuration(&host);
    host.sh("dd if=/dev/zero of=/etc/docker/full bs=1k 2>/dev/null; ! echo more >/etc/docker/more");
    let running = incarnation(&host);
    let me = Person::new();
    let failed = me.create("n1", &host, "root", &[]);
    assert!([FAILED, CHECK_FAILED].contains(&failed.code), "{failed:?}");
    failed.fails(failed.code, &["/etc/docker", "space"]);
    assert_eq!(
        incarnation(&host),
        running,
        "the engine was restarted on a full disk"
    );

    host.sh("rm -f /etc/docker/full /etc/docker/more");
    assert_eq!(before_of(&configuration(&host)), before_of(&before));
    me.create("n1", &host, "root", &[]).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_port_that_is_taken_is_named_with_its_owner() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    host.sh("systemd-run --unit=squatter perl -MIO::Socket::INET -e \
         'my $s = IO::Socket::INET->new(LocalPort => 2376, Listen => 1) or die; sleep 600' && \
         timeout 10 sh -c 'until ss -Hltn sport = 2376 | grep -q .; do sleep 0.1; done'");
    let me = Person::new();
    me.create("n1", &host, "root", &[])
        .fails(CHECK_FAILED, &["2376", "perl"]);
    me.create("n1", &host, "root", &["--generic-engine-port", "2377"])
        .ok();
    assert_eq!(
        me.rmachine(["url", "n1"]).ok(),
        format!("tcp://{}:2377", host.ip())
    );
    me.docker("n1", "version").ok();
}
