//! Clusters from one file, on machines of the docker driver.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::interruption::Work;
use crate::lab::{Ran, lab};
use crate::person::{BUSY, FAILED, Person, Said as _, UNKNOWN_MACHINE};

/// Some machines are as they should be, and others failed.
const PARTIAL: i32 = 9;

/// The command line or the file cannot be understood.
const USAGE: i32 = 2;

/// A wait ended without what it waited for.
const TIMED_OUT: i32 = 7;

/// What Ctrl-C exits with.
const INTERRUPTED: i32 = 130;

/// How often work is cut off at a moment that nobody chose.
const ROUNDS: u32 = 20;

/// Two machines, of which the one that is named last leads.
const MANAGER_AND_NODE: &str = "defaults: {driver: docker, flags: {docker-host: '$HOST'}}\n\
     groups:\n\
     \x20 e: {}\n\
     \x20 m: {roles: [manager, worker]}\n";

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

    fn manager(&self) -> String {
        format!("{}-m-1", self.name)
    }

    /// What is left on the first two machines of a try whether containers reach each other.
    fn reaching(&self) -> String {
        let ps = "ps -aq --filter label=io.rmachine.reach";
        let on = |machine: &str| self.me.docker(machine, ps).ok();
        [on(&self.manager()), on(&self.machine(1))].concat()
    }

    /// Moments at which this work may be cut off, of which nobody chose any: as many spans as there
    /// are rounds, and one in each. The work is done once, to know how long it takes, and undone.
    fn moments(&self, work: &[String]) -> impl Iterator<Item = Duration> {
        let began = Instant::now();
        assert_eq!(Work::start(&self.me, work).end(), 0);
        let span = began.elapsed() / ROUNDS;
        self.me.rmachine(["down"]).ok();
        (0..ROUNDS).map(move |round| span * round + random(span))
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

/// A time shorter than this one.
fn random(below: Duration) -> Duration {
    let number = RandomState::new().hash_one(0) % 1000;
    below * u32::try_from(number).unwrap() / 1000
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
    for (orchestrator, count) in [
        ("classic", "docker info | grep -c 'Status: Healthy'"),
        ("swarm-mode", "docker node ls -q | wc -l"),
    ] {
        cluster.file(&format!("orchestrator: {orchestrator}\n{MANAGER_AND_NODE}"));
        // All machines at once: the node waits for its manager by itself.
        let plan = me.rmachine(["plan", "--format", "json"]).ok();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        assert_eq!(plan["steps"][0]["wave"], plan["steps"][1]["wave"]);
        let up = me.rmachine(["up", "--wait", "--timeout", "60s"]);
        assert!(up.err.contains("has reached one on"), "{up:?}");
        up.ok();
        assert_eq!(cluster.planned(), ["keep"; 2], "{orchestrator}");
        let again = me.rmachine(["--progress", "json", "up"]);
        assert!(!again.err.contains("\"step\""), "{again:?}");
        again.ok();
        assert_eq!(cluster.reaching(), "", "{orchestrator}");
        let manager = cluster.manager();
        let env = format!("eval \"$(rmachine env --swarm {manager})\"; {count}");
        assert_eq!(me.shell(&env).ok(), "2", "{orchestrator}");
        shows_how_it_is(&cluster);
        me.rmachine(["down"]).ok();
        assert_eq!(cluster.left(), "", "{orchestrator}");
    }
}

/// A cluster is shown by its file, by its name, and by a machine of it, in health and without.
fn shows_how_it_is(cluster: &Cluster) {
    let me = &cluster.me;
    let (manager, node) = (cluster.manager(), cluster.machine(1));
    let data = |args: &[&str]| -> Value {
        let shown = me.rmachine(["cluster", "status", "--format", "json"].iter().chain(args));
        serde_json::from_str(&shown.out).unwrap()
    };
    let names = [cluster.name.as_str(), manager.as_str(), node.as_str()];
    for named in [&[], &names[..1], &names[1..2], &names[2..]] {
        me.rmachine(["cluster", "info"].iter().chain(named)).ok();
        let shown = data(named);
        assert_eq!(shown["Leader"], manager, "{shown:#}");
        let members = shown["Machines"].as_array().unwrap().iter();
        let names: Vec<&str> = members.map(|it| it["Name"].as_str().unwrap()).collect();
        // By its file in the order of the file, else by name.
        assert!(
            names.contains(&&*manager) && names.contains(&&*node),
            "{names:?}"
        );
    }
    let table = me.rmachine(["status", "--file", "cluster.yml"]).ok();
    assert!(
        table.contains("manager,worker") && table.contains(" days"),
        "{table}"
    );

    // Its last manager is not removed without a word.
    let asked = me.rmachine(["rm", &manager]);
    assert!(
        asked.err.contains(&format!("of the cluster of {node}")),
        "{asked:?}"
    );
    asked.ok();

    me.rmachine(["stop", &node]).ok();
    me.rmachine(["cluster", "status"])
        .fails(PARTIAL, &[&node, "1 of 2", "Stopped"]);
    assert_eq!(data(&[])["Healthy"], false);
    me.rmachine(["cluster", "status", "--wait", "--timeout", "1s"])
        .fails(TIMED_OUT, &[&node, "Stopped"]);
    me.rmachine(["start", &node]).ok();
    me.rmachine(["status", "--file", "cluster.yml", "--wait"])
        .ok();
}

#[test]
fn containers_that_try_the_way_go_at_ctrl_c_too() {
    let Some(cluster) = Cluster::new("cc") else {
        return;
    };
    let me = &cluster.me;
    cluster.file(MANAGER_AND_NODE);
    cluster.up().ok();
    let wait = ["up", "--wait"].map(str::to_owned);
    for step in ["a container on", "to reach it"] {
        let work = Work::start(me, &wait);
        work.reach(step);
        work.signal(Signal::SIGINT);
        // It may have been done before the signal came.
        let code = work.end();
        assert!([0, INTERRUPTED].contains(&code), "{code}");
        assert_eq!(cluster.reaching(), "", "{step}");
    }
}

#[test]
fn who_waits_for_a_manager_that_fails_is_told_at_once() {
    let Some(cluster) = Cluster::new("cw") else {
        return;
    };
    cluster.file(
        "defaults: {driver: docker, flags: {docker-host: '$HOST'}}\n\
         groups:\n\
         \x20 e: {}\n\
         \x20 m: {roles: [manager], flags: {docker-host: 'unix:///nowhere.sock'}}\n",
    );
    let (manager, node) = (cluster.manager(), cluster.machine(1));
    let up = cluster.up();
    assert_ne!(up.code, 0, "{up:?}");
    up.clone()
        .fails(up.code, &["/nowhere.sock", &manager, &node]);
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
    // Two machines, of which one costs nothing.
    cluster.file(
        "orchestrator: none\n\
         groups:\n\
         \x20 e: {driver: docker, flags: {docker-host: '$HOST'}}\n\
         \x20 u: {driver: none, flags: {url: 'tcp://127.0.0.1:2376'}}\n",
    );
    let up = ["up".to_owned()];
    for moment in cluster.moments(&up) {
        let work = Work::start(me, &up);
        thread::sleep(moment);
        work.signal(Signal::SIGKILL);
        work.end();
        let again = cluster.up();
        assert_eq!(again.code, 0, "killed after {moment:?}: {again:?}");
        assert_eq!(cluster.planned(), ["keep"; 2], "killed after {moment:?}");
        me.rmachine(["down"]).ok();
        assert_eq!(cluster.left(), "", "killed after {moment:?}");
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
    let whole = ["run", "--", "true"].map(str::to_owned);
    let signals = [(Signal::SIGTERM, 143), (Signal::SIGINT, INTERRUPTED)];
    for (moment, (signal, shells_code)) in cluster.moments(&whole).zip(signals.iter().cycle()) {
        let work = Work::start(me, &run);
        thread::sleep(moment);
        work.signal(*signal);
        let code = work.end();
        // Before it listens to signals, it has begun nothing.
        let expected = [INTERRUPTED, *shells_code, -1];
        assert!(expected.contains(&code), "{code} after {moment:?}");
        assert_eq!(cluster.left(), "", "ended by {signal} after {moment:?}");
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
    assert!(!me.store().join("clusters").exists());

    me.rmachine(["cluster", "status", "nobody"])
        .fails(UNKNOWN_MACHINE, &["nobody", "rmachine cluster ls"]);
    me.rmachine(["status", "--wait"]).fails(USAGE, &["--file"]);
}
