//! Containers that are created elsewhere when their node is lost, on real engines.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../../../tests/lab/mod.rs"]
mod lab;

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../cluster/client.rs"]
mod client;
#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../cluster/manager.rs"]
mod manager;
#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../cluster/node.rs"]
mod node;
#[path = "../cluster/party.rs"]
mod party;

#[path = "../../discovery/tests/servers/mod.rs"]
mod servers;

use std::thread;
use std::time::{Duration, Instant};

use lab::{Image, lab};
use manager::Manager;
use node::{Node, TINY};
use party::Party;
use servers::Server;

/// How long a move may take on a loaded machine.
const MOVE: Duration = Duration::from_secs(120);

/// Soon, so that the test need not wait; long enough for an engine's restart to be none.
const SOON: &str = "--cluster-opt=swarm.rescheduledelay=3s";

#[test]
fn what_ran_runs_elsewhere_and_what_comes_back_is_kept() {
    let party = Party::new();
    let Some(one) = Node::start(&party, "node1", Image::Bookworm, "") else {
        return;
    };
    let two = Node::start(&party, "node2", Image::Trixie, "").unwrap();
    let manager = Manager::start(&party, &[one.entry(), two.entry()], &[SOON]);
    let on_one = "-e constraint:node==~node1";
    let moves = "-e reschedule:on-node-failure";
    let run = |words: &str| manager.docker(&format!("run -d {words} {TINY} sleep 6000"));
    run(&format!(
        "--name web --restart always -e A=b -v data:/data --memory 64m {on_one} {moves}"
    ))
    .ok();
    run(&format!("--name idle {on_one} {moves}")).ok();
    run(&format!("--name stays {on_one}")).ok();
    manager
        .docker("exec web sh -c 'echo kept >/data/file'")
        .ok();
    manager.docker("stop -t 1 idle").ok();
    let before = inspect(
        &manager,
        "web",
        "{{index .Config.Labels \"com.docker.swarm.id\"}}",
    );

    // An engine that ends in order stops its containers first.
    one.host.sh("systemctl stop docker.socket docker");
    until(&manager, "web runs on node2", || {
        shown(&manager, "name=web").contains("node2/web Up")
    });
    until(&manager, "idle is on node2", || {
        shown(&manager, "name=idle") == "node2/idle Created"
    });
    assert_eq!(shown(&manager, "name=stays"), "node1/stays Host Down");
    let after = inspect(
        &manager,
        "web",
        "{{index .Config.Labels \"com.docker.swarm.id\"}}",
    );
    assert_eq!(before, after);
    let asked = "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}} {{.Config.Env}}";
    let asked = inspect(&manager, "web", asked);
    assert!(asked.starts_with("67108864 always [A=b"), "{asked}");

    // The node comes back, and with it what another has taken the place of.
    one.host.sh("systemctl start docker.socket docker");
    until(
        &manager,
        "the earlier web is kept under another name",
        || shown(&manager, "name=web.replaced").contains("Exited"),
    );
    let names = shown(&manager, "name=web");
    assert!(names.contains("node2/web Up"), "{names}");
    assert!(names.contains("node1/web.replaced-"), "{names}");
    manager.docker("exec web hostname").ok();
    let kept = one
        .host
        .sh("docker volume inspect -f '{{.Mountpoint}}' data");
    assert_eq!(
        one.host.read(&format!("{kept}/file")).as_deref(),
        Some("kept\n")
    );

    // And back again, after a loss of power.
    two.host.kill();
    until(&manager, "web runs on node1", || {
        shown(&manager, "name=web").contains("node1/web Up")
    });
    two.host.power_on();
    until(&manager, "the web of node2 is kept, too", || {
        shown(&manager, "name=web.replaced")
            .matches("Exited")
            .count()
            == 2
    });
    assert!(shown(&manager, "name=web").contains("node1/web Up"));
}

#[test]
fn a_restart_of_the_engine_moves_nothing() {
    let party = Party::new();
    let Some(one) = Node::start(&party, "node1", Image::Bookworm, "") else {
        return;
    };
    let two = Node::start(&party, "node2", Image::Bookworm, "").unwrap();
    // The default delay.
    let manager = Manager::start(&party, &[one.entry(), two.entry()], &[]);
    let words = "run -d --name web --restart always -e constraint:node==~node1";
    manager
        .docker(&format!(
            "{words} -e reschedule:on-node-failure {TINY} sleep 6000"
        ))
        .ok();
    one.host.sh("systemctl restart docker");
    until(&manager, "web is back", || {
        shown(&manager, "name=web").contains("node1/web Up")
    });
    assert!(!manager.log().contains("Rescheduled"), "{}", manager.log());
}

#[test]
fn a_place_in_an_overlay_network_is_given_up_and_taken_again() {
    let party = Party::new();
    let Some(etcd) = lab().and_then(|lab| Server::etcd_at(lab.gateway(), true)) else {
        return;
    };
    let options = format!(
        "--cluster-store=etcd://{} --cluster-advertise=eth0:2376",
        etcd.address()
    );
    let one = Node::start(&party, "node1", Image::Bookworm, &options).unwrap();
    let two = Node::start(&party, "node2", Image::Bookworm, &options).unwrap();
    let manager = Manager::start(&party, &[one.entry(), two.entry()], &[SOON]);
    manager
        .docker("network create -d overlay --subnet 10.77.0.0/24 over")
        .ok();
    let run = |words: &str| manager.docker(&format!("run -d {words} {TINY} sleep 6000"));
    let fixed = "--network over --ip 10.77.0.9 --network-alias www";
    run(&format!(
        "--name web {fixed} -e constraint:node==~node1 -e reschedule:on-node-failure"
    ))
    .ok();

    one.host.kill();
    until(&manager, "web runs on node2", || {
        shown(&manager, "name=web").contains("node2/web Up")
    });
    let address = "{{.NetworkSettings.Networks.over.IPAddress}}";
    assert_eq!(inspect(&manager, "web", address), "10.77.0.9");
    let aliases = inspect(
        &manager,
        "web",
        "{{.NetworkSettings.Networks.over.Aliases}}",
    );
    assert!(aliases.contains("www"), "{aliases}");
}

/// Names and states, those of nodes that do not answer included.
fn shown(manager: &Manager, filter: &str) -> String {
    let list = format!("ps -a --filter {filter} --format '{{{{.Names}}}} {{{{.Status}}}}'");
    manager.docker(&list).ok()
}

fn inspect(manager: &Manager, name: &str, format: &str) -> String {
    manager
        .docker(&format!("inspect -f '{format}' {name}"))
        .ok()
}

fn until(manager: &Manager, what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + MOVE;
    while !so() {
        assert!(
            Instant::now() < end,
            "not in time: {what}\n{}\n{}",
            manager.docker("ps -a").out,
            manager.log()
        );
        thread::sleep(Duration::from_millis(200));
    }
}
