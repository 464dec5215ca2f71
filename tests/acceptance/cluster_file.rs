//! Clusters from one file, on machines of the docker driver.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::interruption::Work;
use crate::lab::{Ran, lab};
use crate::person::{BUSY, FAILED, Person, Said as _};

/// Some machines are as they should be, and others failed.
const PARTIAL: i32 = 9;

/// The command line or the file cannot be understood.
const USAGE: i32 = 2;

/// How often work is cut off at a moment that nobody chose.
const ROUNDS: usize = 3;

/// A cluster of a name that no other run has. What is left of it goes when the test ends.
struct Cluster {
    me: Person,
    name: String,
}

impl Cluster {
    fn new(word: &str) -> Option<Self> {
        lab()?;
        Some(Self {
            me: Person::new(),
            name: format!("{word}{}", std::process::id()),
        })
    }

    /// Writes the cluster's file; `$HOST` is the lab's engine.
    fn file(&self, rest: &str) -> String {
        let host = lab().unwrap().url();
        let text = format!("name: {}\n{}", self.name, rest.replace("$HOST", host));
        self.me.private_file("cluster.yml", &text)
    }

    /// Engines that nothing joins.
    fn engines(&self, count: usize, more: &str) -> String {
        self.file(&format!(
            "orchestrator: none\n\
             defaults: {{driver: docker, flags: {{docker-host: '$HOST'}}}}\n\
             {more}\n\
             groups: {{e: {{count: {count}}}}}\n"
        ))
    }

    fn machine(&self, n: usize) -> String {
        format!("{}-e-{n}", self.name)
    }

    /// What the plan does with each machine, in order.
    fn planned(&self) -> Vec<String> {
        let plan = self.me.rmachine(["plan", "--format", "json"]).ok();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        let word = |step: &Value| step["action"].as_str().unwrap().to_owned();
        steps.map(word).collect()
    }

    /// Containers of this cluster's machines on the lab's engine, and their records.
    fn left(&self) -> String {
        let filter = format!("name={}-", self.name);
        let args = ["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"];
        let containers = lab().unwrap().engine_ok(20, args);
        let records = self.me.rmachine(["ls", "-q"]).ok();
        let clusters = self.me.rmachine(["cluster", "ls", "-q"]).ok();
        [containers, records, clusters].concat()
    }

    fn clusters_dir(&self) -> PathBuf {
        self.me.store().join("clusters").join(&self.name)
    }

    fn up(&self) -> Ran {
        self.me.rmachine(["up"])
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.me.rmachine(["down", "--cluster", &self.name]);
    }
}

/// A number below this one.
fn random(below: usize) -> usize {
    let number = RandomState::new().hash_one(0);
    usize::try_from(number % below as u64).unwrap()
}

#[test]
fn a_cluster_follows_its_file_and_goes_without_a_trace() {
    let Some(cluster) = Cluster::new("cf") else {
        return;
    };
    let me = &cluster.me;
    cluster.engines(3, "labels: {zone: a}");
    assert_eq!(cluster.planned(), ["create"; 3]);
    assert_eq!(cluster.left(), "");
    let up = cluster.up();
    up.ok();
    assert_eq!(cluster.planned(), ["keep"; 3]);
    let label = |n| {
        let machine = cluster.machine(n);
        me.docker(&machine, "info -f '{{.Labels}}'").ok()
    };
    assert!(label(1).contains("zone=a"));
    let again = me.rmachine(["--progress", "json", "up"]);
    assert!(!again.err.contains("\"step\""), "{again:?}");
    again.ok();

    // Drift on both sides.
    me.docker(&cluster.machine(2), "volume create kept").ok();
    me.rmachine(["rm", "-y", &cluster.machine(1)]).ok();
    me.rmachine(["stop", &cluster.machine(3)]).ok();
    cluster.engines(3, "labels: {zone: b}");
    assert_eq!(cluster.planned(), ["create", "change", "change"]);
    cluster.up().ok();
    assert_eq!(cluster.planned(), ["keep"; 3]);
    for n in 1..=3 {
        assert!(label(n).contains("zone=b"));
    }
    let volumes = me.docker(&cluster.machine(2), "volume ls -q");
    assert_eq!(volumes.ok(), "kept", "it was changed, not replaced");

    // A machine that is gone, though its record is not; and one that is no longer wanted.
    let lab = lab().unwrap();
    let filter = format!("name={}", cluster.machine(1));
    let container = lab.engine_ok(20, ["ps", "-q", "--filter", &filter]);
    lab.engine_ok(60, ["rm", "--force", "--volumes", &container]);
    cluster.engines(2, "labels: {zone: b}");
    assert_eq!(cluster.planned(), ["replace", "keep", "extra"]);
    me.rmachine(["up", "--prune"]).ok();
    assert_eq!(cluster.planned(), ["keep"; 2]);
    assert!(!me.machine_dir(&cluster.machine(3)).exists());

    // What only a new machine can have.
    cluster.file(
        "orchestrator: none\n\
         defaults: {driver: docker, flags: {docker-host: '$HOST', docker-memory: 900}}\n\
         labels: {zone: b}\n\
         groups: {e: {names: [$NAME-e-2]}}\n"
            .replace("$NAME", &cluster.name)
            .as_str(),
    );
    cluster.up().fails(FAILED, &["docker-memory", "--recreate"]);
    assert_eq!(me.docker(&cluster.machine(2), "volume ls -q").ok(), "kept");

    // Somebody's own machine of the same store stays.
    let own = format!("own{}", std::process::id());
    me.rmachine([
        "create",
        "-d",
        "none",
        "--url",
        "tcp://127.0.0.1:2376",
        &own,
    ])
    .ok();
    me.rmachine(["down"]).ok();
    assert!(!cluster.clusters_dir().exists());
    assert!(me.machine_dir(&own).exists());
    me.rmachine(["rm", "-y", &own]).ok();
    assert_eq!(cluster.left(), "");
    me.rmachine(["down"]).ok();
}

#[test]
fn a_file_makes_a_cluster_of_either_kind() {
    let Some(cluster) = Cluster::new("co") else {
        return;
    };
    let me = &cluster.me;
    let groups = "defaults: {driver: docker, flags: {docker-host: '$HOST'}}\n\
         groups:\n  m: {roles: [manager]}\n  e: {}\n";
    for (orchestrator, count, nodes) in [
        ("classic", "docker info | grep -c 'Status: Healthy'", "1"),
        ("swarm-mode", "docker node ls -q | wc -l", "2"),
    ] {
        cluster.file(&format!("orchestrator: {orchestrator}\n{groups}"));
        me.rmachine(["up", "--wait", "--timeout", "60s"]).ok();
        assert_eq!(cluster.planned(), ["keep"; 2], "{orchestrator}");
        let again = me.rmachine(["--progress", "json", "up", "--wait"]);
        assert!(!again.err.contains("\"step\""), "{again:?}");
        again.ok();
        let manager = format!("{}-m-1", cluster.name);
        let env = format!("eval \"$(rmachine env --swarm {manager})\"; {count}");
        assert_eq!(me.shell(&env).ok(), nodes, "{orchestrator}");
        me.rmachine(["down"]).ok();
        assert_eq!(cluster.left(), "", "{orchestrator}");
    }
}

#[test]
fn a_machine_that_fails_does_not_undo_the_others() {
    let Some(cluster) = Cluster::new("pf") else {
        return;
    };
    let me = &cluster.me;
    let groups = "orchestrator: none\n\
         defaults: {driver: docker, flags: {docker-host: '$HOST'}}\n\
         groups:\n  e: {}\n  bad: {flags: {docker-host: 'unix:///nowhere.sock'}}\n";
    cluster.file(groups);
    let bad = format!("{}-bad-1", cluster.name);
    cluster.up().fails(PARTIAL, &[&bad, "/nowhere.sock"]);
    me.docker(&cluster.machine(1), "version").ok();
    assert_eq!(cluster.planned(), ["keep", "create"]);

    // A machine of the same name that is somebody's own.
    me.rmachine([
        "create",
        "-d",
        "none",
        "--url",
        "tcp://127.0.0.1:2376",
        &bad,
    ])
    .ok();
    cluster.file(
        &groups
            .replace("bad:", "x:\n    names: ['$BAD']\n  bad:")
            .replace("$BAD", "taken"),
    );
    me.rmachine([
        "create",
        "-d",
        "none",
        "--url",
        "tcp://127.0.0.1:2376",
        "taken",
    ])
    .ok();
    cluster
        .up()
        .fails(PARTIAL, &["taken", "none of this cluster's"]);
    me.rmachine(["down"]).ok();
    assert!(me.machine_dir("taken").exists());
}

#[test]
fn a_command_runs_in_a_cluster_of_its_own() {
    let Some(cluster) = Cluster::new("cr") else {
        return;
    };
    let me = &cluster.me;
    cluster.engines(1, "");
    let script = "docker info -f '{{.Name}}'; echo \"$DOCKER_MACHINE_NAME\"; exit 3";
    let ran = me.rmachine(["run", "--", "sh", "-c", script]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let name = cluster.machine(1);
    assert_eq!(ran.out, format!("{name}\n{name}\n"));
    assert_eq!(cluster.left(), "");

    me.rmachine(["run", "--", "no-such-program"])
        .fails(FAILED, &["no-such-program"]);
    assert_eq!(cluster.left(), "");

    // A cluster that is there is not one to be taken down.
    cluster.up().ok();
    me.rmachine(["run", "--", "true"])
        .fails(FAILED, &["there already"]);
    me.docker(&name, "version").ok();

    // Its time.
    me.rmachine(["gc"]).ok();
    assert_eq!(cluster.planned(), ["keep"]);
    me.rmachine(["up", "--ttl", "1s"]).ok();
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(me.rmachine(["gc", "--dry-run"]).ok(), cluster.name);
    me.rmachine(["gc"]).ok();
    assert_eq!(cluster.left(), "");
}

#[test]
fn whatever_moment_up_is_killed_at_the_next_one_goes_on() {
    let Some(cluster) = Cluster::new("ck") else {
        return;
    };
    let me = &cluster.me;
    cluster.engines(2, "");
    let up = ["up".to_owned()];
    let steps = Work::start(me, &up).all_steps().len();
    me.rmachine(["down"]).ok();
    for _ in 0..ROUNDS {
        let (step, pause) = (random(steps), Duration::from_millis(random(400) as u64));
        let when = format!("killed {pause:?} after step {step}");
        let work = Work::start(me, &up);
        for _ in 0..=step {
            work.next_step();
        }
        thread::sleep(pause);
        work.signal(Signal::SIGKILL);
        work.end();
        let again = cluster.up();
        assert_eq!(again.code, 0, "{when}: {again:?}");
        assert_eq!(cluster.planned(), ["keep"; 2], "{when}");
        for n in 1..=2 {
            me.docker(&cluster.machine(n), "version").ok();
        }
        me.rmachine(["down"]).ok();
        assert_eq!(cluster.left(), "", "{when}");
    }
}

#[test]
fn whatever_moment_run_is_ended_at_it_leaves_nothing() {
    let Some(cluster) = Cluster::new("ct") else {
        return;
    };
    let me = &cluster.me;
    cluster.engines(1, "");
    let run = ["run", "--", "sleep", "60"].map(str::to_owned);
    let steps = {
        let quick = ["run", "--", "true"].map(str::to_owned);
        Work::start(me, &quick).all_steps().len()
    };
    for round in 0..ROUNDS {
        let (step, pause) = (random(steps), Duration::from_millis(random(400) as u64));
        let work = Work::start(me, &run);
        for _ in 0..=step {
            work.next_step_within(Duration::from_secs(15));
        }
        thread::sleep(pause);
        work.signal(match round % 2 {
            0 => Signal::SIGTERM,
            _ => Signal::SIGINT,
        });
        let code = work.end();
        assert!([130, 143].contains(&code), "{code}");
        assert_eq!(cluster.left(), "", "ended {pause:?} after step {step}");
    }

    // Who kills it finds what is left with gc.
    let work = Work::start(me, &run);
    work.reach("configuring");
    me.rmachine(["gc"]).ok();
    assert_ne!(cluster.left(), "", "it is at work");
    work.signal(Signal::SIGKILL);
    work.end();
    me.rmachine(["gc"]).ok();
    assert_eq!(cluster.left(), "");
}

#[test]
fn of_two_at_once_one_waits_or_is_refused() {
    let Some(cluster) = Cluster::new("c2") else {
        return;
    };
    let me = &cluster.me;
    cluster.engines(2, "");
    let up = ["up".to_owned()];
    let first = Work::start(me, &up);
    first.next_step();
    let second = cluster.up();
    let pid = first.pid().to_string();
    if second.code == BUSY {
        second.fails(BUSY, &[&cluster.name, &pid]);
    } else {
        second.ok();
    }
    assert_eq!(first.end(), 0);
    assert_eq!(cluster.planned(), ["keep"; 2]);
    me.rmachine(["down"]).ok();
    assert_eq!(cluster.left(), "");
}

#[test]
fn a_file_that_cannot_be_used_is_told_of_before_anything_is_touched() {
    let me = Person::new();
    me.rmachine(["up"]).fails(USAGE, &["cluster.yml"]);
    me.private_file(
        "cluster.yml",
        "name: d\norchestrator: none\ngroups:\n  e: {cuont: 2}\n",
    );
    me.rmachine(["up"]).fails(
        USAGE,
        &["cluster.yml:4:7", "did you mean \"count\"", "which driver"],
    );
    me.private_file(
        "cluster.yml",
        "name: d\nstore: {kind: etcd}\ndefaults: {driver: docker}\n\
         groups: {e: {roles: [manager, store]}}\n",
    );
    me.rmachine(["plan"]).fails(FAILED, &["role store"]);
    assert!(!me.store().join("clusters").exists());
}
