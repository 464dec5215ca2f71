//! Clusters of machines: managers, agents, and who keeps the nodes.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::interruption::{Work, slow_host};
use crate::lab::{Host, Image};
use crate::person::{CHECK_FAILED, FAILED, Person, Said as _};

/// How long a cluster may take to notice something.
const LIMIT: Duration = Duration::from_secs(60);

/// Tries until it goes well, and tells what was seen last when it never does.
#[track_caller]
pub fn wait_for(what: &str, mut check: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(seen) = check() {
        assert!(started.elapsed() < LIMIT, "{what}: {seen}");
        thread::sleep(Duration::from_millis(300));
    }
}

/// The names of a cluster's nodes, by `docker info`, with whether each is healthy.
pub fn nodes(me: &Person, master: &str) -> Vec<(String, bool)> {
    let info = me.docker_swarm(master, "info").ok();
    let mut nodes = Vec::new();
    for line in info.lines() {
        if let Some(status) = line.trim().strip_prefix("└ Status: ") {
            if let Some((_, healthy)) = nodes.last_mut() {
                *healthy = status == "Healthy";
            }
        } else if let Some(node) = line.strip_prefix("  ")
            && node.contains(":2376")
            && let Some((name, _)) = node.trim().split_once(": ")
            && !name.starts_with('└')
        {
            nodes.push((name.to_owned(), false));
        }
    }
    nodes
}

fn healthy(names: &[&str]) -> Vec<(String, bool)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), true))
        .collect()
}

#[test]
fn a_cluster_needs_no_more_than_a_master_and_nodes() {
    let Some(first) = Host::start(Image::Bookworm) else {
        return;
    };
    let Some(second) = Host::start(Image::Trixie) else {
        return;
    };
    let me = Person::new();
    me.create("n2", &second, "root", &["--swarm"]).fails(
        CHECK_FAILED,
        &["no machine here is a master", "--swarm-master"],
    );
    me.create("n1", &first, "root", &["--swarm", "--swarm-master"])
        .ok();
    me.create("n2", &second, "root", &["--swarm", "--swarm-master"])
        .fails(
            CHECK_FAILED,
            &["n1 keeps the nodes", "--swarm-discovery etcd"],
        );
    me.create("n2", &second, "root", &["--swarm"]).ok();
    assert_eq!(nodes(&me, "n1"), healthy(&["n1", "n2"]));

    let listed = me.rmachine(["ls", "--format", "{{.Name}} {{.Swarm}}"]).ok();
    assert_eq!(listed, "n1 n1 (master)\nn2 n1");
    assert_eq!(
        me.rmachine(["ls", "-q", "--filter", "swarm=n1"]).ok(),
        "n1\nn2"
    );

    let limits = "inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} \
                  {{index .HostConfig.LogConfig.Config \"max-size\"}}'";
    for (name, expected) in [
        ("swarm-agent-master", "2147483648 2048 10m"),
        ("swarm-agent", "268435456 2048 10m"),
    ] {
        assert_eq!(me.docker("n1", &format!("{limits} {name}")).ok(), expected);
    }

    // What is there already stays, the containers included.
    let containers = || {
        let ids = |name| me.docker(name, "ps -aq --no-trunc").ok();
        [ids("n1"), ids("n2")]
    };
    let before = containers();
    me.rmachine(["provision", "n1", "n2"]).ok();
    assert_eq!(containers(), before);

    // The nodes are kept where a new container of the manager finds them.
    me.docker("n1", "rm -f swarm-agent-master").ok();
    me.docker("n2", "stop swarm-agent").ok();
    me.rmachine(["provision", "n1"]).ok();
    wait_for("the nodes come back", || {
        let nodes = nodes(&me, "n1");
        let names: Vec<_> = nodes.iter().map(|(name, _)| name.as_str()).collect();
        (names == ["n1", "n2"])
            .then_some(())
            .ok_or(format!("{nodes:?}"))
    });
    me.rmachine(["provision", "n2"]).ok();
    assert_eq!(nodes(&me, "n1"), healthy(&["n1", "n2"]));

    // New certificates reach the containers that have them.
    me.rmachine(["regenerate-certs", "-f", "n1", "n2"]).ok();
    assert_eq!(nodes(&me, "n1"), healthy(&["n1", "n2"]));

    only_registers(&me, &first, &second);

    me.rmachine(["rm", "-y", "n2"]).ok();
    assert_eq!(nodes(&me, "n1"), healthy(&["n1"]));
    let left = second.sh("docker ps -aq --filter name=swarm");
    assert_eq!(left, "");
}

/// An agent's certificate is the key to no engine, and to nothing of the manager's but its nodes.
fn only_registers(me: &Person, master: &Host, node: &Host) {
    let dir = me.machine_dir("n2");
    let ask = |url: &str| {
        let dir = dir.display();
        me.shell(&format!(
            "curl --silent --show-error --max-time 20 --cacert {dir}/ca.pem --cert {dir}/agent.pem \
             --key {dir}/agent-key.pem --write-out ' %{{http_code}}' {url}"
        ))
    };
    let refused = ask(&format!("https://{}:2376/info", node.ip()));
    assert_ne!(refused.code, 0, "{}", refused.out);
    let answer = ask(&format!("https://{}:3376/info", master.ip())).ok();
    assert!(
        answer.ends_with(" 403") && answer.contains("registering"),
        "{answer}"
    );
    let members = ask(&format!("https://{}:3376/rswarm/v1/members", master.ip())).ok();
    assert!(
        members.ends_with(" 200") && members.contains(&node.ip()),
        "{members}"
    );
}

#[test]
fn a_node_waits_for_its_master_as_long_as_somebody_makes_it() {
    let Some(first) = slow_host() else { return };
    let Some(second) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let master = me.create_args("m1", &first, "root", &["--swarm-master"]);
    let join = ["--swarm", "--swarm-join", "m1"];
    let node = me.create_args("n1", &second, "root", &join);
    me.rmachine(&node).fails(CHECK_FAILED, &["m1 is no master"]);
    // The master's maker goes, and with it the wait.
    let making = Work::start(&me, &master);
    making.reach("configuring");
    let waiting = Work::start(&me, &node);
    waiting.reach("waiting for the master m1");
    making.signal(Signal::SIGKILL);
    assert_eq!(waiting.end(), FAILED);
    let listed = me.rmachine(["ls", "--format", "{{.Error}}", "--filter", "name=n1"]);
    let listed = listed.ok();
    assert!(listed.contains("m1 was cut off"), "{listed}");
    making.end();
    // Nobody works on it: nobody waits.
    me.rmachine(&node).fails(CHECK_FAILED, &["m1 is not ready"]);

    let making = Work::start(&me, &master);
    making.next_step();
    me.rmachine(&node).ok();
    assert_eq!(making.end(), 0);
    assert_eq!(nodes(&me, "m1"), healthy(&["n1"]));
}

#[test]
fn a_companion_that_is_not_there_is_named() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &["--swarm", "--swarm-master"]);
    let mut command = me.command(&args);
    let ran = crate::lab::Ran::of(command.env("RMACHINE_COMPANION", "/nowhere/rswarm"));
    ran.fails(
        FAILED,
        &[
            "no static rswarm for",
            "/nowhere/rswarm is not there",
            "RMACHINE_COMPANION",
        ],
    );
    assert_eq!(
        me.phases("n1").last().map(String::as_str),
        Some("Provisioned")
    );
    // The same command goes on with one.
    me.rmachine(&args).ok();
    assert_eq!(nodes(&me, "n1"), healthy(&["n1"]));
}

#[test]
fn engines_of_any_age_make_a_swarm_of_their_own() {
    let images = [Image::Bookworm, Image::Trixie, Image::Bookworm];
    let Some(hosts) = images
        .map(Host::start)
        .into_iter()
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let me = Person::new();
    let mode = |more: &[&'static str]| [&["--swarm-mode"], more].concat();
    me.create("w1", &hosts[2], "root", &mode(&[])).fails(
        CHECK_FAILED,
        &["no machine here is a manager", "--swarm-master"],
    );
    me.create("m1", &hosts[0], "root", &mode(&["--swarm-master"]))
        .ok();
    let second = mode(&["--swarm-master", "--swarm-join", "m1"]);
    me.create("m2", &hosts[1], "root", &second).ok();
    me.create("w1", &hosts[2], "root", &mode(&[])).fails(
        CHECK_FAILED,
        &["several machines are managers", "--swarm-join m1|m2"],
    );
    me.create("w1", &hosts[2], "root", &mode(&["--swarm-join", "m2"]))
        .ok();
    let nodes = |master| {
        let format = "--format '{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}'";
        let listed = me.docker(master, &format!("node ls {format}")).ok();
        let mut nodes: Vec<_> = listed.lines().map(|line| line.trim().to_owned()).collect();
        nodes.sort();
        nodes
    };
    assert_eq!(
        nodes("m1"),
        [
            "m1 Ready Active Leader",
            "m2 Ready Active Reachable",
            "w1 Ready Active"
        ]
    );
    let listed = me.rmachine(["ls", "--format", "{{.Name}} {{.Swarm}}"]).ok();
    assert_eq!(listed, "m1 m1 (master)\nm2 m2 (master)\nw1 m1");
    // A worker's cluster is reached by a manager.
    assert_eq!(me.docker_swarm("w1", "node ls -q").ok().lines().count(), 3);
    // No token is kept.
    let join = me.docker("m1", "swarm join-token -q worker").ok();
    let kept = me.shell(&format!(
        "grep -rl {join} \"$MACHINE_STORAGE_PATH\" || true"
    ));
    assert_eq!(kept.ok(), "");

    // A second run finds all as it is to be.
    me.rmachine(["provision", "m1", "m2", "w1"]).ok();
    assert_eq!(nodes("m1").len(), 3);

    services(&me);

    me.rmachine(["rm", "-y", "w1"]).ok();
    me.rmachine(["rm", "-y", "m2"]).ok();
    assert_eq!(nodes("m1"), ["m1 Ready Active Leader"]);
    assert_eq!(
        hosts[1].sh("docker info -f '{{.Swarm.LocalNodeState}}'"),
        "inactive"
    );
    me.rmachine(["rm", "-y", "m1"]).ok();
    assert_eq!(
        hosts[0].sh("docker info -f '{{.Swarm.LocalNodeState}}'"),
        "inactive"
    );
}

/// A service lives on a swarm as on any other.
fn services(me: &Person) {
    for machine in ["m1", "m2", "w1"] {
        me.shell(&format!(
            "\"$RMACHINE_COMPANION\" image --tag app:1 | docker $(rmachine config {machine}) load"
        ))
        .ok();
    }
    let me = |command: &str| me.docker("m1", command);
    me("service create --detach --no-resolve-image --name web --replicas 2 app:1 discovery").ok();
    let running = || {
        let tasks =
            me("service ps web --filter desired-state=running --format '{{.CurrentState}}'");
        let tasks = tasks.ok();
        let running = tasks.lines().filter(|state| state.starts_with("Running"));
        (running.count(), tasks)
    };
    for replicas in [2, 3, 1] {
        me(&format!("service scale --detach web={replicas}")).ok();
        wait_for("the service runs", || {
            let (count, tasks) = running();
            (count == replicas).then_some(()).ok_or(tasks)
        });
    }
    me("service update --detach --no-resolve-image --env-add A=b web").ok();
    me("service rm web").ok();
}
