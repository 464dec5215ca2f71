//! How long the commands take, as whole processes and on real hosts, beside plain `ssh` and the
//! bare restart of an engine.
//!
//!     tests/lab/lab.sh up && cargo bench --bench cli
//!
//! Prints the table of `docs/performance.md`. Without the lab only what needs no host is measured.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and ends where it cannot be made"
)]

#[allow(dead_code, reason = "the tests use what the benchmark does not")]
#[path = "../../tests/lab/mod.rs"]
mod lab;
mod measure;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::{Host, Image};
use measure::{Bound, HEAD, Row, Times, in_turn, time};
use tempfile::TempDir;

const RMACHINE: &str = env!("CARGO_BIN_EXE_rmachine");

/// How often a command of milliseconds is run, and one of seconds.
const OFTEN: usize = 31;
const SELDOM: usize = 5;

/// How many machines `ls` lists.
const LISTED: usize = 20;

fn main() {
    // `cargo test --all-targets` starts benchmarks too, in a build whose times say nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("skipped: cargo bench measures");
        return;
    }
    let store = Store(tempfile::tempdir().unwrap());
    warn_if_busy();
    println!("{HEAD}");
    start(&store);
    let hosts: Option<Vec<Host>> = (0..7).map(|_| Host::start(Image::Bookworm)).collect();
    if let Some(hosts) = hosts {
        on_hosts(&store, &hosts);
    }
    let size = fs::metadata(RMACHINE).unwrap().len();
    println!("\nbinary: {:.1} MB (bound: 15 MB)", size as f64 / 1e6);
}

/// Says so when other work makes the times those of another machine.
fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load
        .split(' ')
        .next()
        .and_then(|l| l.parse().ok())
        .unwrap_or(0.0);
    let processors = processors();
    if load > processors as f64 / 2.0 {
        println!(
            "The machine is busy (load {load} on {processors} processors): only ratios count.\n"
        );
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What needs no host.
fn start(store: &Store) {
    let [version, nothing] = in_turn(
        OFTEN,
        [store.rmachine(&["--version"]), Command::new("true")],
    );
    show(Row {
        what: "`--version`".to_owned(),
        took: version.median(),
        beside: Some(("`true`", nothing.median())),
        docker_machine: None,
        bound: Bound::Within(Duration::from_millis(3)),
    });
}

fn on_hosts(store: &Store, hosts: &[Host]) {
    let (alone, four) = hosts.split_at(3);
    let create =
        |(number, host): (usize, &Host)| time(&mut store.create(&format!("a{number}"), host));
    let mut times = Vec::new();
    let spent = measure::processor_time(|| times.extend(alone.iter().enumerate().map(create)));
    let one = Times::new(times);
    show(Row {
        what: "`create`, adopting a host with an engine".to_owned(),
        took: one.median(),
        beside: Some(("the engine's restart", engine_restart(&alone[0]))),
        docker_machine: Some("9.2 s"),
        bound: Bound::Beyond(Duration::from_secs(1)),
    });
    let at_once = measure::elapsed(|| {
        thread::scope(|scope| {
            for (number, host) in four.iter().enumerate() {
                let mut create = store.create(&format!("b{number}"), host);
                scope.spawn(move || time(&mut create));
            }
        });
    });
    show(Row {
        what: "`create` of four hosts at once".to_owned(),
        took: at_once,
        beside: Some(("one", one.median())),
        docker_machine: None,
        bound: Bound::Times(1.5),
    });

    a_processor_each(store);
    provision(store, &alone[0]);
    quick(store);
    ssh(store, &alone[0]);
    ls(store);
    println!(
        "\nprocessor time of one `create`, its host's included: {:.2} s, on {} processors",
        spent.as_secs_f64() / alone.len() as f64,
        processors()
    );
}

/// Hosts of one machine share its processors, which hosts elsewhere do not. Here each host has one
/// for itself and the `rmachine` that adopts it: what is left is what the runs cost each other.
fn a_processor_each(store: &Store) {
    let pinned = |processor: usize| {
        let processor = processor.to_string();
        Host::start_with(Image::Bookworm, &["--cpuset-cpus", &processor])
    };
    let create = |name: String, processor: usize, host: &Host| {
        time(&mut on_processor(processor, &store.create(&name, host)))
    };
    let at_most = processors().min(4);
    let alone: Option<Vec<Host>> = (0..3).map(|_| pinned(0)).collect();
    let each: Option<Vec<Host>> = (0..at_most).map(pinned).collect();
    let (Some(alone), Some(each)) = (alone, each) else {
        return;
    };
    let one = alone.iter().enumerate();
    let one = one.map(|(number, host)| create(format!("d{number}"), 0, host));
    let one = Times::new(one.collect());
    let at_once = measure::elapsed(|| {
        thread::scope(|scope| {
            for (processor, host) in each.iter().enumerate() {
                scope.spawn(move || create(format!("e{processor}"), processor, host));
            }
        });
    });
    show(Row {
        what: format!("`create` of {at_most} hosts at once, a processor each"),
        took: at_once,
        beside: Some(("one on one processor", one.median())),
        docker_machine: None,
        bound: Bound::Times(1.5),
    });
    for machine in (0..3)
        .map(|n| format!("d{n}"))
        .chain((0..at_most).map(|n| format!("e{n}")))
    {
        time(&mut store.rmachine(&["rm", "--force", &machine]));
    }
}

/// The same command, kept on one processor.
fn on_processor(processor: usize, command: &Command) -> Command {
    let mut kept = Command::new("taskset");
    kept.arg("--cpu-list").arg(processor.to_string());
    kept.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            kept.env(name, value);
        }
    }
    kept
}

/// How long the engine itself takes to restart, measured on the host.
fn engine_restart(host: &Host) -> Duration {
    // systemd refuses a service that is restarted often, until it is told to forget.
    let script = "set -e; systemctl reset-failed docker; start=$(date +%s%N)
        systemctl restart docker; echo $(($(date +%s%N) - start))";
    let restart = |_| Duration::from_nanos(host.sh(script).parse().unwrap());
    Times::new((0..3).map(restart).collect()).median()
}

fn provision(store: &Store, host: &Host) {
    let engine = "systemctl show docker -p ActiveEnterTimestampMonotonic -p MainPID";
    let before = host.sh(engine);
    let [again] = in_turn(SELDOM, [store.rmachine(&["provision", "a0"])]);
    assert_eq!(before, host.sh(engine), "the engine was restarted");
    show(Row {
        what: "`provision` with nothing to do".to_owned(),
        took: again.median(),
        beside: None,
        docker_machine: None,
        bound: Bound::Within(Duration::from_millis(700)),
    });
}

fn quick(store: &Store) {
    let commands: [(&[&str], Option<&'static str>); 4] = [
        (&["env", "--shell", "bash", "a0"], Some("25 ms")),
        (&["config", "a0"], None),
        (&["ip", "a0"], Some("18 ms")),
        (&["url", "a0"], None),
    ];
    let times = in_turn(
        OFTEN,
        commands.map(|(arguments, _)| store.rmachine(arguments)),
    );
    for ((arguments, docker_machine), times) in commands.into_iter().zip(times) {
        show(Row {
            what: format!("`{}`", arguments[0]),
            took: times.median(),
            beside: None,
            docker_machine,
            bound: Bound::Within(Duration::from_millis(10)),
        });
    }
}

fn ssh(store: &Store, host: &Host) {
    let mut plain = Command::new("ssh");
    plain.args(["-F", "/dev/null", "-o", "IdentitiesOnly=yes"]);
    plain.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]);
    plain.arg("-i").arg(host.lab().key());
    plain.arg(format!("root@{}", host.ip())).arg("true");
    let [ours, plain] = in_turn(OFTEN, [store.rmachine(&["ssh", "a0", "true"]), plain]);
    show(Row {
        what: "`ssh NAME true`".to_owned(),
        took: ours.median(),
        beside: Some(("plain `ssh`", plain.median())),
        docker_machine: Some("264 ms"),
        bound: Bound::Beyond(Duration::from_millis(10)),
    });
}

/// Lists the adopted hosts and, up to the number wanted, the first of them under further names.
fn ls(store: &Store) {
    for number in store.machines()..LISTED {
        store.name_again("a0", &format!("c{number}"));
    }
    let [times] = in_turn(SELDOM, [store.rmachine(&["ls"])]);
    show(Row {
        what: format!("`ls` of {LISTED} running machines"),
        took: times.median(),
        beside: None,
        docker_machine: Some("111 ms for four"),
        bound: Bound::Within(Duration::from_millis(150)),
    });
}

fn show(row: Row) {
    println!("{row}");
}

/// A store of its own, and the program that works on it.
struct Store(TempDir);

impl Store {
    fn rmachine(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(RMACHINE);
        command
            .env("MACHINE_STORAGE_PATH", self.0.path())
            .args(arguments);
        command
    }

    fn create(&self, name: &str, host: &Host) -> Command {
        let mut command = self.rmachine(&["create", "-d", "generic", "--generic-ssh-user", "root"]);
        command.args(["--generic-ip-address", &host.ip()]);
        command.arg("--generic-ssh-key").arg(host.lab().key());
        command.arg(name);
        command
    }

    fn machines(&self) -> usize {
        fs::read_dir(self.0.path().join("machines"))
            .unwrap()
            .count()
    }

    /// Gives a machine a second name: a copy of its directory.
    fn name_again(&self, name: &str, again: &str) {
        let dir = |name: &str| self.0.path().join("machines").join(name);
        fs::create_dir(dir(again)).unwrap();
        for file in fs::read_dir(dir(name)).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                fs::copy(&file, dir(again).join(file.file_name().unwrap())).unwrap();
            }
        }
        rename_in_record(&dir(again).join("config.json"), name, again);
    }
}

fn rename_in_record(record: &Path, name: &str, again: &str) {
    let text = fs::read_to_string(record).unwrap();
    let text = text
        .replace(&format!("\"{name}\""), &format!("\"{again}\""))
        .replace(&format!("/machines/{name}"), &format!("/machines/{again}"));
    fs::write(record, text).unwrap();
}
