//! Clusters of several masters, which share a store.

use std::thread;
use std::time::Duration;

use crate::cluster::{nodes, wait_for};
use crate::lab::{Host, Image, lab};
use crate::person::Person;
use crate::servers::Server;

/// Longer than a master's lock in the store lasts.
const OUTAGE: Duration = Duration::from_secs(25);

/// Machines of one cluster: the masters first.
struct Cluster {
    me: Person,
    hosts: Vec<Host>,
    store: Server,
}

const NAMES: [&str; 4] = ["node1", "node2", "node3", "node4"];

impl Cluster {
    /// Two masters, which replicate, and as many nodes more.
    fn create(store: Option<Server>, scheme: &str, nodes: usize, more: &[&str]) -> Option<Self> {
        let store = store?;
        let hosts: Option<Vec<_>> = (0..2 + nodes)
            .map(|_| Host::start(Image::Bookworm))
            .collect();
        let cluster = Self {
            me: Person::new(),
            hosts: hosts?,
            store,
        };
        let discovery = format!("--swarm-discovery={scheme}://{}", cluster.store.address());
        thread::scope(|scope| {
            for (index, (name, host)) in NAMES.iter().zip(&cluster.hosts).enumerate() {
                let master = ["--swarm-master", "--swarm-opt=replication"];
                let role = if index < 2 { &master[..] } else { &[] };
                let flags = [&["--swarm", &discovery], role, more].concat();
                let me = &cluster.me;
                scope.spawn(move || me.create(name, host, "root", &flags).ok());
            }
        });
        Some(cluster)
    }

    fn names(&self) -> &'static [&'static str] {
        &NAMES[..self.hosts.len()]
    }

    fn info(&self, master: &str) -> String {
        self.me.docker_swarm(master, "info").ok()
    }

    /// Waits until this master calls itself the primary, and these nodes healthy.
    fn wait_until_led_by(&self, master: &str, healthy: &[&str]) {
        wait_for("the cluster is led", || {
            let info = self.info(master);
            let led = info.contains("Role: primary");
            let nodes = nodes(&self.me, master);
            let all = healthy
                .iter()
                .all(|name| nodes.contains(&((*name).to_owned(), true)));
            (led && all).then_some(()).ok_or(info)
        });
    }

    /// The two masters, the one that leads first.
    fn masters(&self) -> [usize; 2] {
        let mut masters = [0, 1];
        wait_for("a master leads", || {
            let infos = [0, 1].map(|master| self.info(NAMES[master]));
            let leading = infos.iter().position(|info| info.contains("Role: primary"));
            masters = match leading {
                Some(1) => [1, 0],
                Some(_) => [0, 1],
                None => return Err(infos.concat()),
            };
            Ok(())
        });
        masters
    }
}

/// The primary's host loses its power; then its store goes away for longer than a lock lasts.
fn outlives_its_primary_and_its_store(mut cluster: Cluster) {
    let [first, second] = cluster.masters();
    let (primary, replica) = (NAMES[first], NAMES[second]);
    let told = format!("Primary: {}:3376", cluster.hosts[first].ip());
    wait_for("the replica knows the primary", || {
        let info = cluster.info(replica);
        let known = info.contains("Role: replica") && info.contains(&told);
        known.then_some(()).ok_or(info)
    });
    // Through a replica all nodes are seen, as it asks the primary.
    assert_eq!(nodes(&cluster.me, replica).len(), cluster.hosts.len());

    cluster.hosts[first].kill();
    let rest: Vec<_> = cluster
        .names()
        .iter()
        .copied()
        .filter(|name| *name != primary)
        .collect();
    cluster.wait_until_led_by(replica, &rest);

    cluster.store.stop();
    thread::sleep(OUTAGE);
    cluster.store.start();
    cluster.wait_until_led_by(replica, &rest);
}

#[test]
fn on_etcd_the_cluster_of_the_tutorial_has_networks_across_its_hosts() {
    let store = lab().and_then(|lab| Server::etcd_at(lab.gateway(), true));
    let Some(address) = store.as_ref().map(Server::address) else {
        return;
    };
    let more = [
        "--engine-registry-mirror=http://127.0.0.1:5001",
        &format!("--engine-opt=cluster-store=etcd://{address}"),
        "--engine-opt=cluster-advertise=eth0:2376",
    ];
    let Some(cluster) = Cluster::create(store, "etcd", 2, &more) else {
        return;
    };
    let [first, _] = cluster.masters();
    cluster.wait_until_led_by(NAMES[first], cluster.names());
    across_hosts(&cluster.me, NAMES[first]);
    outlives_its_primary_and_its_store(cluster);
}

/// A container on one host finds one on another by its name.
fn across_hosts(me: &Person, master: &str) {
    let docker = |words: &str| me.docker_swarm(master, words).ok();
    docker("network create -d overlay --subnet 10.77.0.0/24 over");
    let run = "run --network over --entrypoint /rswarm";
    docker(&format!(
        "{run} -d --name store -e constraint:node==node3 rswarm:0.1.0 discovery -H :8500"
    ));
    wait_for("a token comes from the other host", || {
        let token = me.docker_swarm(
            master,
            &format!(
                "{run} --rm -e constraint:node==node4 rswarm:0.1.0 create \
                 --discovery-url=http://store:8500"
            ),
        );
        let is_token = token.code == 0 && token.out.trim().len() == 32;
        is_token.then_some(()).ok_or(format!("{token:?}"))
    });
    docker("rm -f store");
    docker("network rm over");
}

#[test]
fn on_consul_two_masters_replicate() {
    let store = lab().and_then(|lab| Server::consul_at(lab.gateway()));
    if let Some(cluster) = Cluster::create(store, "consul", 0, &[]) {
        outlives_its_primary_and_its_store(cluster);
    }
}

#[test]
fn on_zookeeper_two_masters_replicate() {
    let store = lab().and_then(|lab| Server::zookeeper_at(lab.gateway()));
    if let Some(cluster) = Cluster::create(store, "zk", 0, &[]) {
        outlives_its_primary_and_its_store(cluster);
    }
}
