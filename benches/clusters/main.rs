//! How long clusters take from one file, as whole processes: on hosts of the lab that `up` adopts,
//! and on machines that the docker driver makes.
//!
//!     tests/lab/lab.sh up && cargo bench --bench clusters
//!
//! Prints the table of `docs/performance.md`. `RMACHINE_COMPANION` names the companion's program.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and ends where it cannot be made"
)]

#[allow(dead_code, reason = "the tests use what the benchmark does not")]
#[path = "../../tests/lab/mod.rs"]
mod lab;
#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "../cli/measure.rs"]
mod measure;

use std::fs;
use std::process::Command;
use std::time::Duration;

use lab::{Host, Image, companion, lab};
use measure::{Bound, HEAD, Row, Times, in_turn, time};
use tempfile::TempDir;

const RMACHINE: &str = env!("CARGO_BIN_EXE_rmachine");

/// How often a cluster is made, of hosts that nobody has touched, and how often it is looked at.
const SELDOM: usize = 3;
const OFTEN: usize = 5;

fn main() {
    // `cargo test --all-targets` starts benchmarks too, in a build whose times say nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("skipped: cargo bench measures");
        return;
    }
    if lab().is_none() {
        return;
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    println!("load before: {}", load.trim());
    println!("{HEAD}");
    let four = adopted(4);
    let made = on_docker_driver();
    let ten = up_of_ten();
    show(Row {
        what: "`up` of ten hosts".to_owned(),
        took: ten,
        beside: Some(("four", four)),
        docker_machine: None,
        bound: Bound::Times(2.5),
    });
    show(Row {
        what: "`up` of four machines of the docker driver".to_owned(),
        took: made,
        beside: Some(("four that are adopted", four)),
        docker_machine: None,
        bound: Bound::Within(Duration::from_secs(8)),
    });
}

/// The tutorial's four nodes from stock hosts, which are new each time.
fn adopted(count: usize) -> Duration {
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    let mut again = None;
    for _ in 0..SELDOM {
        let hosts = hosts(count);
        let cluster = Cluster::of(&hosts);
        ups.push(time(&mut cluster.rmachine(&["up"])));
        again = Some(in_turn(OFTEN, [cluster.rmachine(&["up"])]));
        downs.push(time(&mut cluster.rmachine(&["down"])));
    }
    let up = Times::new(ups).median();
    show(Row {
        what: format!("`up` of {count} stock hosts, to all nodes healthy"),
        took: up,
        beside: None,
        docker_machine: Some("37 s"),
        bound: Bound::Within(Duration::from_secs(8)),
    });
    let [again] = again.unwrap();
    show(Row {
        what: "`up` again, with nothing to do".to_owned(),
        took: again.median(),
        beside: None,
        docker_machine: None,
        bound: Bound::Within(Duration::from_secs(2)),
    });
    show(Row {
        what: "`down`".to_owned(),
        took: Times::new(downs).median(),
        beside: None,
        docker_machine: None,
        bound: Bound::Within(Duration::from_secs(3)),
    });
    up
}

fn up_of_ten() -> Duration {
    let hosts = hosts(10);
    time(&mut Cluster::of(&hosts).rmachine(&["up"]))
}

fn on_docker_driver() -> Duration {
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    // The first one may have to build the machines' image.
    for round in 0..=SELDOM {
        let cluster = Cluster::of_docker_driver();
        let up = time(&mut cluster.rmachine(&["up"]));
        let down = time(&mut cluster.rmachine(&["down"]));
        if round > 0 {
            ups.push(up);
            downs.push(down);
        }
    }
    show(Row {
        what: "`down` of four machines of the docker driver".to_owned(),
        took: Times::new(downs).median(),
        beside: None,
        docker_machine: None,
        bound: Bound::Within(Duration::from_secs(3)),
    });
    Times::new(ups).median()
}

fn hosts(count: usize) -> Vec<Host> {
    (0..count)
        .map(|_| Host::start(Image::Bookworm).unwrap())
        .collect()
}

fn show(row: Row) {
    println!("{row}");
}

/// A cluster's file, in a directory with a store of its own. It is taken down at the end.
struct Cluster(TempDir);

impl Cluster {
    /// The first host is the manager, and a node as all others are.
    fn of(hosts: &[Host]) -> Self {
        let key = hosts[0].lab().key();
        let machine = |(number, host): (usize, &Host)| {
            format!("bench-{number}: {{generic-ip-address: {}}}", host.ip())
        };
        let machines: Vec<String> = hosts.iter().enumerate().map(machine).collect();
        let (manager, nodes) = machines.split_first().unwrap();
        Self::new(&format!(
            "defaults:\n\
             \x20 driver: generic\n\
             \x20 flags: {{generic-ssh-user: root, generic-ssh-key: {}}}\n\
             groups:\n\
             \x20 manager: {{roles: [manager, worker], machines: {{{manager}}}}}\n\
             \x20 node: {{machines: {{{}}}}}\n",
            key.display(),
            nodes.join(", ")
        ))
    }

    fn of_docker_driver() -> Self {
        Self::new(&format!(
            "defaults: {{driver: docker, flags: {{docker-host: '{}'}}}}\n\
             groups:\n\
             \x20 manager: {{roles: [manager, worker]}}\n\
             \x20 node: {{count: 3}}\n",
            lab().unwrap().url()
        ))
    }

    fn new(rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = std::process::id();
        let text = format!("name: bench{name}\n{rest}");
        fs::write(dir.path().join("cluster.yml"), text).unwrap();
        Self(dir)
    }

    fn rmachine(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(RMACHINE);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("MACHINE_STORAGE_PATH", self.0.path().join("store"));
        if std::env::var_os("RMACHINE_COMPANION").is_none() {
            command.env("RMACHINE_COMPANION", companion());
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.rmachine(&["down"]).output();
    }
}
