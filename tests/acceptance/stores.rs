//! Stores that rmachine starts itself, and clusters that meet there.

use std::thread;

use crate::cluster::{nodes, wait_for};
use crate::lab::{Host, Image, Ran, lab};
use crate::person::{CHECK_FAILED, FAILED, Person, Said as _};
use crate::servers::program;

fn hosts<const N: usize>() -> Option<[Host; N]> {
    let hosts: Option<Vec<_>> = (0..N).map(|_| Host::start(Image::Bookworm)).collect();
    hosts?.try_into().ok()
}

/// Asks the server of a store as its clients do.
fn ask(me: &Person, machine: &str, at: &str, more: &str) -> Ran {
    let (certs, own) = (me.store().join("certs"), me.machine_dir(machine));
    let (certs, own) = (certs.display(), own.display());
    me.shell(&format!(
        "curl -fsS -m 10 --cacert {certs}/store-ca.pem --cert {own}/store.pem \
         --key {own}/store-key.pem {more} https://{at}"
    ))
}

/// Waits until these nodes of a master are healthy, and no others: one that was lost is told of for
/// three minutes.
fn wait_until_healthy(me: &Person, master: &str, names: &[&str]) {
    let expected: Vec<_> = names
        .iter()
        .map(|name| ((*name).to_owned(), true))
        .collect();
    wait_for("the nodes are healthy", || {
        let mut nodes = nodes(me, master);
        nodes.retain(|(_, healthy)| *healthy);
        (nodes == expected)
            .then_some(())
            .ok_or(format!("{nodes:?}"))
    });
}

#[test]
fn a_machine_with_etcd_is_where_a_cluster_meets() {
    let Some(etcd) = program("etcd") else { return };
    let Some([store, master, node]) = hosts() else {
        return;
    };
    let me = Person::new();
    let create = |name: &str, host: &Host, more: &[&str]| me.create(name, host, "root", more);
    let meet = ["--swarm", "--swarm-discovery=etcd://machine:s1/c"];
    create("n1", &node, &meet).fails(CHECK_FAILED, &["s1 is no machine with a store", "--store"]);
    let join = ["--store=etcd", "--store-join=n9"];
    create("s1", &store, &join).fails(CHECK_FAILED, &["n9 is no machine with a store"]);
    let script = me.private_file("etcd.sh", "#!/bin/sh\n");
    create("s1", &store, &["--store=etcd", "--store-binary", &script])
        .fails(FAILED, &["is no program for Linux", "--store-image"]);
    assert!(!me.machine_dir("s1").exists());

    // Debian's program needs a loader and libraries, which are sent with it.
    let binary = format!("--store-binary={}", etcd.display());
    create("s1", &store, &["--store=etcd", &binary]).ok();
    let container = || me.docker("s1", "ps -q --no-trunc").ok();
    let before = container();
    me.rmachine(["provision", "s1"]).ok();
    assert_eq!(container(), before);
    only_for_its_clients(&me, &store);
    create("m1", &master, &["--store=consul", "--store-join=s1"])
        .fails(CHECK_FAILED, &["the store of s1 is etcd, not consul"]);

    let network = [
        "--engine-opt=cluster-store=etcd://machine:s1",
        "--engine-opt=cluster-advertise=eth0:2376",
    ];
    let leads = ["--swarm-master", "--swarm-opt=replication"];
    let leads = [&meet[..], &leads, &network].concat();
    thread::scope(|scope| {
        let (create, master) = (&create, &master);
        scope.spawn(move || create("m1", master, &leads).ok());
        create("n1", &node, &[&meet[..], &network].concat()).ok();
    });
    wait_until_healthy(&me, "m1", &["m1", "n1"]);
    me.docker("m1", "network create -d overlay over").ok();
    assert!(me.docker("n1", "network ls").ok().contains("over"));

    // The data outlive the container.
    me.docker("s1", "rm -f rmachine-store").ok();
    me.rmachine(["provision", "s1"]).ok();
    wait_until_healthy(&me, "m1", &["m1", "n1"]);
    assert!(me.docker("m1", "network ls").ok().contains("over"));

    me.rmachine(["rm", "-y", "n1", "m1"]).ok();
    me.rmachine(["rm", "-y", "s1"]).ok();
    let left = store.sh("docker ps -aq; docker volume ls -q --filter name=rmachine");
    assert_eq!(left, "");
}

#[test]
fn a_store_runs_what_its_hosts_distribution_or_a_registry_has() {
    let Some([first, second]) = hosts() else {
        return;
    };
    let me = Person::new();
    me.create("s1", &first, "root", &["--store=etcd", "--store-package"])
        .ok();
    only_for_its_clients(&me, &first);
    let left = first.sh("ls /var/lib/rmachine; command -v etcd; dpkg -l | grep etcd || true");
    assert!(
        !left.contains("program") && !left.contains("etcd"),
        "{left}"
    );

    first.sh(
        "apt-get -qq install -y --no-install-recommends docker-registry >/dev/null
        systemctl stop docker-registry
        printf '%s\n' 'version: 0.1' 'storage: {filesystem: {rootdirectory: /var/tmp/registry}}' \
            'http: {addr: \":5000\"}' >/var/tmp/registry.yml
        systemd-run -q docker-registry serve /var/tmp/registry.yml",
    );
    let registry = format!("{}:5000", first.ip());
    let image = format!("{registry}/etcd:1");
    me.docker("s1", "tag rmachine-etcd:package 127.0.0.1:5000/etcd:1")
        .ok();
    me.docker("s1", "push -q 127.0.0.1:5000/etcd:1").ok();
    let joins = ["--store=etcd", "--store-join=s1", "--store-image", &image];
    let trusts = ["--engine-insecure-registry", &registry];
    let refused = format!("{registry}/none:1");
    let wrong = ["--store=etcd", "--store-join=s1", "--store-image", &refused];
    me.create("s2", &second, "root", &[&wrong[..], &trusts].concat())
        .fails(FAILED, &[&refused, "not found"]);
    me.create("s2", &second, "root", &[&joins[..], &trusts].concat())
        .ok();
    let members = format!("{}:2379/v3/cluster/member/list", second.ip());
    let members = ask(&me, "s2", &members, "-X POST -d '{}'").ok();
    assert_eq!(members.matches("\"clientURLs\"").count(), 2, "{members}");
    let runs = me.docker("s2", "ps --format '{{.Image}}'").ok();
    assert_eq!(runs.trim(), image);
}

/// Who has no certificate of the store's authority is not let in; nor does one of its own open an
/// engine.
fn only_for_its_clients(me: &Person, store: &Host) {
    let health = format!("{}:2379/health", store.ip());
    assert!(ask(me, "s1", &health, "").ok().contains("true"));
    let dir = me.machine_dir("s1");
    let dir = dir.display();
    let with = |words: &str| {
        let ran = me.shell(&format!("curl -ksS -m 10 {words}"));
        assert_ne!(ran.code, 0, "{words}: {ran:?}");
    };
    with(&format!("https://{health}"));
    with(&format!(
        "--cert {dir}/cert.pem --key {dir}/key.pem https://{health}"
    ));
    let engine = format!("https://{}:2376/info", store.ip());
    with(&format!(
        "--cert {dir}/store.pem --key {dir}/store-key.pem {engine}"
    ));
}

#[test]
fn three_servers_of_consul_do_without_one() {
    if program("consul").is_none() {
        return;
    }
    let Some([first, second, third, fresh]) = hosts() else {
        return;
    };
    let me = Person::new();
    let meet = "--swarm-discovery=consul://machine:s1/c";
    let serves = ["--swarm", meet, "--store=consul"];
    let leads = ["--swarm-master", "--swarm-opt=replication"];
    let joins = [&serves[..], &["--store-join=s1"]].concat();
    me.create("s1", &first, "root", &[&serves[..], &leads].concat())
        .ok();
    thread::scope(|scope| {
        for (name, host) in [("s2", &second), ("s3", &third)] {
            let (me, joins) = (&me, &joins);
            scope.spawn(move || me.create(name, host, "root", joins).ok());
        }
    });
    wait_until_healthy(&me, "s1", &["s1", "s2", "s3"]);
    let peers = || {
        let at = format!("{}:8501/v1/status/peers", first.ip());
        ask(&me, "s1", &at, "").ok()
    };
    assert_eq!(peers().matches(":8300").count(), 3, "{}", peers());

    // Whoever leads the store: it is written to without one.
    second.kill();
    wait_for("the store is written to", || {
        let at = format!("{}:8501/v1/kv/some", first.ip());
        let ran = ask(&me, "s1", &at, "-X PUT -d thing");
        let written = ran.out.trim() == "true";
        written.then_some(()).ok_or(format!("{ran:?}"))
    });
    wait_for("the lost node is noticed", || {
        let nodes = nodes(&me, "s1");
        let healthy = nodes.iter().filter(|(_, healthy)| *healthy);
        (healthy.count() == 2)
            .then_some(())
            .ok_or(format!("{nodes:?}"))
    });

    // Another one takes its place.
    me.rmachine(["rm", "-y", "-f", "s2"]).ok();
    me.create("s2", &fresh, "root", &joins).ok();
    wait_until_healthy(&me, "s1", &["s1", "s2", "s3"]);
    assert_eq!(peers().matches(":8300").count(), 3, "{}", peers());
}

#[test]
fn a_file_brings_its_own_store() {
    if program("etcd").is_none() {
        return;
    }
    let Some(lab) = lab() else { return };
    let me = Person::new();
    let name = format!("st{}", std::process::id());
    let file = format!(
        "name: {name}\n\
         store: {{kind: etcd}}\n\
         swarm: {{opt: [replication]}}\n\
         defaults: {{driver: docker, flags: {{docker-host: '{}'}}}}\n\
         groups:\n  s: {{roles: [store], count: 3}}\n  m: {{roles: [manager, worker]}}\n",
        lab.url()
    );
    me.private_file("cluster.yml", &file);
    let cluster = Cluster { me, name };
    let (me, name) = (&cluster.me, &cluster.name);
    let up = || me.rmachine(["up", "--wait", "--timeout", "60s"]).ok();
    up();
    let again = me.rmachine(["--progress", "json", "up", "--wait"]);
    assert!(!again.err.contains("\"step\""), "{again:?}");
    let master = format!("{name}-m-1");
    wait_until_healthy(me, &master, &[&master]);
    let servers = || {
        let server = format!("{name}-s-3");
        let address = me.rmachine(["ip", &server]).ok();
        let list = format!("{address}:2379/v3/cluster/member/list");
        ask(me, &server, &list, "-X POST -d '{}'").ok()
    };
    assert_eq!(servers().matches("\"clientURLs\"").count(), 3);
    assert!(!servers().contains("isLearner"), "{}", servers());

    // The one that began it goes, and comes back.
    me.rmachine(["rm", "-y", &format!("{name}-s-1")]).ok();
    assert_eq!(servers().matches("\"clientURLs\"").count(), 2);
    up();
    assert_eq!(servers().matches("\"clientURLs\"").count(), 3);
    wait_until_healthy(me, &master, &[&master]);
    me.rmachine(["down"]).ok();
    assert_eq!(me.rmachine(["ls", "-q"]).ok(), "");
}

/// A cluster from a file. What is left of it goes when the test ends.
struct Cluster {
    me: Person,
    name: String,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.me.rmachine(["down", "--cluster", &self.name]);
    }
}
