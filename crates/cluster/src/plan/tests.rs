//! A table of what is there and what the file says, and what follows.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use rmachine_docker::DockerKind;
use rmachine_driver::{MachineName, MachineState};
use rmachine_generic::Generic;
use rmachine_lifecycle::{Machines, Settings};
use rmachine_machine::{Phase, Store};
use time::OffsetDateTime;

use super::{Action, Found, Plan, Seen, There};
use crate::Cluster;
use crate::journal::Owned;

fn cluster(text: &str) -> Cluster {
    let kinds: Vec<Box<dyn rmachine_driver::DriverKind>> = vec![
        Box::new(DockerKind::new(None)),
        Box::new(Generic::new(Default::default())),
    ];
    let machines = Machines::new(Store::open("/nowhere").unwrap(), kinds, Settings::default());
    Cluster::read(text, &|_| None, &machines).unwrap()
}

fn classic() -> Cluster {
    cluster(
        "name: d\n\
         defaults: {driver: docker, flags: {docker-memory: 512}}\n\
         labels: {env: ci}\n\
         groups:\n  head: {roles: [manager]}\n  node: {count: 2}\n",
    )
}

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

/// What is there after the cluster was brought up, and nothing happened since.
fn settled(cluster: &Cluster) -> There {
    let mut there = There::default();
    for member in &cluster.members {
        let swarm = member.spec.swarm.as_ref();
        let seen = Seen {
            driver: member.spec.driver.clone(),
            next: None,
            since: None,
            engine: member.spec.engine.options.clone(),
            tls_sans: Vec::new(),
            swarm: swarm.map(|it| it.options.clone()).unwrap_or_default(),
            swarm_mode: None,
            store: member.spec.store.as_ref().map(|it| it.kind),
            state: Some(MachineState::Running),
            gone: false,
            power: true,
            provisioned: true,
        };
        let name = member.name().clone();
        there.owned.insert(name.clone(), Owned::of(member));
        there.machines.insert(name, Found::Machine(Box::new(seen)));
    }
    there
}

fn with(change: impl FnOnce(&mut Seen)) -> impl FnOnce(&mut There) {
    |there| {
        if let Some(Found::Machine(seen)) = there.machines.get_mut(&name("d-node-1")) {
            change(seen);
        }
    }
}

/// The action for `d-node-1` after a change of what is there.
fn action(change: impl FnOnce(&mut There)) -> Action {
    let cluster = classic();
    let mut there = settled(&cluster);
    change(&mut there);
    let plan = Plan::new(&cluster, &there, false);
    assert_eq!(plan.steps.len(), 3);
    plan.steps[1].action.clone()
}

#[test]
fn what_is_as_it_should_be_is_kept() {
    let cluster = classic();
    let plan = Plan::new(&cluster, &settled(&cluster), true);
    assert!(plan.is_empty());
    assert!(plan.waves().is_empty());
    assert_eq!(plan.counts(), "3 to keep");
}

#[test]
fn each_machine_gets_what_it_needs() {
    let node = name("d-node-1");
    assert_eq!(
        action(|there| drop(there.machines.remove(&node))),
        Action::Create
    );
    assert_eq!(action(with(|it| it.gone = true)), Action::Replace);
    let phase = Phase::Reachable;
    assert_eq!(
        action(with(|it| it.next = Some(phase))),
        Action::Resume(phase)
    );
    assert_eq!(
        action(with(|it| it.state = Some(MachineState::Stopped))),
        Action::Start
    );
    assert_eq!(
        action(with(|it| {
            it.state = Some(MachineState::Stopped);
            it.power = false;
        })),
        Action::Keep
    );
    // A driver that cannot tell is no reason to do something.
    assert_eq!(action(with(|it| it.state = None)), Action::Keep);
}

#[test]
fn options_are_changed_in_place() {
    let change = |what: &[&str], start| Action::Change {
        what: what.iter().map(|it| (*it).to_owned()).collect(),
        start,
    };
    assert_eq!(
        action(with(|it| it.engine.labels = vec!["env=prod".to_owned()])),
        change(&["engine label"], false)
    );
    assert_eq!(
        action(with(|it| {
            it.tls_sans = vec!["x".to_owned()];
            it.swarm.arbitrary_join_flags = vec!["delay=1s".to_owned()];
            // Not told to an agent.
            it.swarm.strategy = "binpack".to_owned();
            it.state = Some(MachineState::Stopped);
        })),
        change(&["engine tls-san", "swarm join-opt"], true)
    );
    assert_eq!(
        action(with(|it| it.swarm.agent = false)),
        change(&["swarm role"], false)
    );
    // What the file leaves open was filled in.
    assert_eq!(
        action(with(|it| {
            it.swarm.discovery = "here://d".to_owned();
            it.swarm.image = "rswarm:1".to_owned();
        })),
        Action::Keep
    );
    // Nobody configures the engine behind a URL.
    assert_eq!(
        action(with(|it| {
            it.engine.labels.clear();
            it.provisioned = false;
        })),
        Action::Keep
    );
}

#[test]
fn what_only_a_new_machine_can_have_is_not_done_by_itself() {
    let node = name("d-node-1");
    let recreate =
        |what: &[&str]| Action::Recreate(what.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(
        action(with(|it| it.driver = "generic".to_owned())),
        recreate(&["the driver docker, not generic"])
    );
    assert_eq!(
        action(|there| there.owned.get_mut(&node).unwrap().flags.clear()),
        recreate(&["another docker-memory"])
    );
    assert_eq!(
        action(with(|it| it.swarm.master = true)),
        recreate(&["another role"])
    );
}

#[test]
fn what_the_cluster_did_not_make_is_not_touched() {
    let node = name("d-node-1");
    let refused = |action: Action, word: &str| match action {
        Action::Refuse(reason) => assert!(reason.contains(word), "{reason}"),
        other => unreachable!("{other:?}"),
    };
    refused(
        action(|there| drop(there.owned.remove(&node))),
        "none of this cluster's",
    );
    refused(
        action(|there| {
            let noted = OffsetDateTime::UNIX_EPOCH;
            there.owned.get_mut(&node).unwrap().since = Some(noted);
            with(|it| it.since = Some(noted + time::Duration::SECOND))(there);
        }),
        "somebody else",
    );
    refused(
        action(|there| {
            let unreadable = Found::Unreadable("its record is no JSON".to_owned());
            there.machines.insert(node.clone(), unreadable);
        }),
        "no JSON",
    );
}

#[test]
fn what_the_file_no_longer_names_goes_on_request_only() {
    let cluster = classic();
    let mut there = settled(&cluster);
    let smaller = self::cluster(
        "name: d\n\
         defaults: {driver: docker, flags: {docker-memory: 512}}\n\
         labels: {env: ci}\n\
         groups:\n  head: {roles: [manager]}\n",
    );
    there.machines.remove(&name("d-node-2"));
    let actions = |prune| {
        let plan = Plan::new(&smaller, &there, prune);
        let actions = plan.steps.iter();
        actions
            .map(|step| (step.machine.to_string(), step.action.clone()))
            .collect::<Vec<_>>()
    };
    let named = |n: &str, action| (n.to_owned(), action);
    assert_eq!(
        actions(false),
        [
            named("d-head-1", Action::Keep),
            named("d-node-1", Action::Extra),
            named("d-node-2", Action::Forget),
        ]
    );
    assert_eq!(actions(true)[1], named("d-node-1", Action::Remove));
}

#[test]
fn order_is_kept_only_where_it_matters() {
    let waves = |cluster: &Cluster, there: &There| {
        let plan = Plan::new(cluster, there, false);
        let names = |wave: Vec<super::Step>| {
            let names = wave.into_iter().map(|step| step.machine.to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        plan.waves().into_iter().map(names).collect::<Vec<_>>()
    };
    let nothing = There::default();
    assert_eq!(
        waves(&classic(), &nothing),
        ["d-head-1 d-node-1 d-node-2"],
        "the nodes wait by themselves"
    );
    // Whoever joins finds the manager begun, wherever the file names it.
    let groups = "defaults: {driver: docker}\n\
         groups: {node: {count: 2}, head: {roles: [manager], count: 2}}\n";
    for head in ["orchestrator: swarm-mode\n", "discovery: etcd://h:1/d\n"] {
        let cluster = cluster(&format!("name: d\n{head}{groups}"));
        assert_eq!(
            waves(&cluster, &nothing),
            ["d-head-1 d-node-1 d-node-2 d-head-2"]
        );
    }
    let plain = "name: d\norchestrator: none\ngroups: {n: {driver: docker, count: 3}}\n";
    assert_eq!(waves(&cluster(plain), &nothing), ["d-n-1 d-n-2 d-n-3"]);

    // Stores before those that need them, the first one before those that join it.
    let stored = "groups:\n\
         \x20 head: {roles: [manager, worker], count: 2}\n\
         \x20 kv: {roles: [store], count: 3}\n";
    let defaults = "name: d\nstore: {kind: etcd}\ndefaults: {driver: docker}\n";
    assert_eq!(
        waves(&cluster(&format!("{defaults}{stored}")), &nothing),
        ["d-kv-1", "d-kv-2 d-kv-3", "d-head-1 d-head-2"]
    );
    let mode = format!("{defaults}orchestrator: swarm-mode\n{stored}");
    assert_eq!(
        waves(&cluster(&mode), &nothing),
        ["d-head-1 d-kv-1", "d-kv-2 d-kv-3", "d-head-2"]
    );

    // Nobody joins a manager that goes, or somebody else's.
    let head = name("d-head-1");
    let mut gone = There::default();
    let seen = settled(&classic());
    gone.machines = seen.machines.clone();
    gone.machines.retain(|name, _| *name == head);
    let apart = ["d-head-1", "d-node-1 d-node-2"];
    assert_eq!(waves(&classic(), &gone), apart, "refused");
    gone.owned = seen.owned.clone();
    gone.owned.retain(|name, _| *name == head);
    assert_eq!(waves(&classic(), &gone), ["d-node-1 d-node-2"], "kept");
    if let Some(Found::Machine(seen)) = gone.machines.get_mut(&head) {
        seen.gone = true;
    }
    assert_eq!(waves(&classic(), &gone), apart, "replaced");
}

#[test]
fn a_plan_is_shown_as_text_and_as_data() {
    let cluster = classic();
    let mut there = settled(&cluster);
    there.machines.remove(&name("d-head-1"));
    with(|it| it.engine.labels.clear())(&mut there);
    let plan = Plan::new(&cluster, &there, false);
    assert_eq!(
        plan.to_string(),
        "cluster d (classic)\n\
         \x20 create    d-head-1\n\
         \x20 change    d-node-1  engine label\n\
         \x20 keep      d-node-2\n\
         1 to create, 1 to change, 1 to keep\n"
    );
    let json = plan.to_json();
    assert_eq!(json["steps"][1]["action"], "change");
    assert_eq!(json["empty"], false);
}
