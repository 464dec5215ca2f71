//! What a cluster file becomes, and what is told of one that cannot be used.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::path::Path;
use std::time::Duration;

use rmachine_docker::DockerKind;
use rmachine_driver::FlagValue;
use rmachine_generic::Generic;
use rmachine_lifecycle::{Machines, Settings};
use rmachine_machine::{Store, StoreKind, StoreSource};
use rmachine_none::UrlOnly;

use super::schema::schema;
use crate::{Cluster, Orchestrator};

fn machines() -> Machines {
    let store = Store::open("/nowhere").unwrap();
    let kinds: Vec<Box<dyn rmachine_driver::DriverKind>> = vec![
        Box::new(DockerKind::new(None)),
        Box::new(Generic::new(Default::default())),
        Box::new(UrlOnly),
    ];
    Machines::new(store, kinds, Settings::default())
}

fn variables(name: &str) -> Option<String> {
    match name {
        "COUNT" => Some("2".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "MACHINE_DOCKER_MEMORY" => Some("512".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Cluster, Vec<String>> {
    Cluster::read(text, &variables, &machines())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn names(cluster: &Cluster) -> Vec<&str> {
    let members = cluster.members.iter();
    members.map(|member| member.name().as_str()).collect()
}

const FULL: &str = "\
name: demo
discovery: etcd://10.0.0.5:2379/demo
ttl: 90m
labels: {env: ci, zone: a}
swarm:
  strategy: binpack
  opt: [replication]
defaults:
  driver: docker
  flags:
    docker-memory: 1024
    docker-cpus: 1.50
  engine:
    opt: [log-opt=max-size=10m]
    install: none
groups:
  manager:
    count: ${COUNT}
    roles: [manager]
  node:
    names: [n1]
    labels: {zone: b}
    flags: {docker-memory: 2048, docker-publish: true}
    engine:
      opt: [live-restore]
      label: [x=y]
      install: auto
  host:
    driver: generic
    machines:
      h1: {generic-ip-address: 10.0.0.1}
      h2: {generic-ip-address: 10.0.0.2, generic-ssh-port: 2222}
";

#[test]
fn a_file_becomes_a_cluster() {
    let cluster = read(FULL).unwrap();
    assert_eq!(cluster.orchestrator, Orchestrator::Classic);
    assert_eq!(cluster.ttl, Some(Duration::from_secs(90 * 60)));
    assert_eq!(
        names(&cluster),
        ["demo-manager-1", "demo-manager-2", "n1", "h1", "h2"]
    );

    let [manager, _, node, _, host] = cluster.members.as_slice() else {
        unreachable!()
    };
    assert_eq!(manager.spec.flags.number::<i64>("docker-memory"), Ok(1024));
    assert_eq!(manager.spec.flags.text("docker-cpus"), Some("1.50"));
    assert_eq!(manager.spec.engine.options.labels, ["env=ci", "zone=a"]);
    let swarm = &manager.spec.swarm.as_ref().unwrap().options;
    assert!(swarm.is_swarm && swarm.master && !swarm.agent);
    assert_eq!(
        (swarm.strategy.as_str(), swarm.host.as_str()),
        ("binpack", "tcp://0.0.0.0:3376")
    );
    assert_eq!(swarm.arbitrary_flags, ["replication"]);

    assert_eq!(node.spec.flags.number::<i64>("docker-memory"), Ok(2048));
    assert!(node.spec.flags.switch("docker-publish"));
    let engine = &node.spec.engine;
    assert_eq!(engine.options.labels, ["env=ci", "zone=b", "x=y"]);
    assert_eq!(
        engine.options.arbitrary_flags,
        ["log-opt=max-size=10m", "live-restore"]
    );
    assert_eq!(engine.install.to_string(), "auto");
    let swarm = node.spec.swarm.as_ref().unwrap();
    assert!(swarm.options.agent && !swarm.options.master);
    assert_eq!(swarm.join, None, "all know the store");

    // Flags of the defaults are those of the defaults' driver.
    assert_eq!(host.given.len(), 2);
    assert_eq!(
        host.given["generic-ssh-port"],
        FlagValue::Text("2222".to_owned())
    );
}

#[test]
fn without_a_discovery_all_join_the_first_manager() {
    let cluster = read(
        "name: d\ndefaults: {driver: docker}\ngroups:\n  node: {count: 2}\n  head: {roles: [manager, worker]}\n",
    )
    .unwrap();
    assert_eq!(names(&cluster), ["d-node-1", "d-node-2", "d-head-1"]);
    let join = |n: usize| {
        let swarm = cluster.members[n].spec.swarm.as_ref().unwrap();
        swarm.join.as_ref().map(|name| name.to_string())
    };
    assert_eq!(join(0).as_deref(), Some("d-head-1"));
    assert_eq!(join(2), None);
}

#[test]
fn a_store_of_its_own_is_where_a_cluster_meets() {
    let cluster = read(
        "name: d\nstore: {kind: consul, image: 'r.example.org/consul:1'}\ndefaults: {driver: docker}\n\
         groups:\n  head: {roles: [manager, worker], count: 2}\n  keep: {roles: [store], count: 3}\n",
    )
    .unwrap();
    let discovery = "consul://machine:d-keep-1/d";
    assert_eq!(cluster.discovery.as_deref(), Some(discovery));
    for member in &cluster.members {
        let swarm = member.spec.swarm.as_ref();
        let found = swarm.map(|swarm| swarm.options.discovery.as_str());
        let expected = (!member.roles.store).then_some(discovery);
        assert_eq!(found, expected, "{}", member.name());
    }
    let stores = cluster.members.iter().filter_map(|member| {
        let store = member.spec.store.as_ref()?;
        assert_eq!(store.kind, StoreKind::Consul);
        let image = StoreSource::Image("r.example.org/consul:1".to_owned());
        assert_eq!(store.source, Some(image));
        Some(store.join.as_ref().map(|join| join.to_string()))
    });
    let first = || Some("d-keep-1".to_owned());
    assert_eq!(stores.collect::<Vec<_>>(), [None, first(), first()]);

    let cluster = read(
        "name: d\nstore: {kind: etcd, binary: /opt/etcd}\norchestrator: swarm-mode\n\
         groups: {all: {driver: docker, roles: [manager, store]}}\n",
    )
    .unwrap();
    assert_eq!(cluster.discovery, None);
    let spec = &cluster.members[0].spec;
    assert!(spec.swarm.as_ref().unwrap().options.master);
    let source = spec.store.as_ref().unwrap().source.clone();
    assert_eq!(source, Some(StoreSource::Program("/opt/etcd".into())));
}

#[test]
fn in_swarm_mode_all_join_the_first_manager() {
    let cluster = read(
        "name: d\norchestrator: swarm-mode\ndefaults: {driver: docker}\ngroups:\n  head: {roles: [manager], count: 3}\n  node: {}\n",
    )
    .unwrap();
    let requests: Vec<_> = cluster
        .members
        .iter()
        .map(|member| {
            let swarm = member.spec.swarm.as_ref().unwrap();
            assert_eq!(
                swarm.orchestrator,
                rmachine_lifecycle::Orchestrator::SwarmMode
            );
            let join = swarm.join.as_ref().map(|name| name.to_string());
            (swarm.options.master, join)
        })
        .collect();
    let first = Some("d-head-1".to_owned());
    assert_eq!(
        requests,
        [
            (true, None),
            (true, first.clone()),
            (true, first.clone()),
            (false, first),
        ]
    );
}

#[test]
fn the_environment_stands_in_for_a_flag_that_is_absent() {
    let cluster = read("name: d\norchestrator: none\ngroups: {n: {driver: docker}}\n").unwrap();
    let member = &cluster.members[0];
    assert_eq!(member.spec.flags.number::<i64>("docker-memory"), Ok(512));
    assert!(member.given.is_empty(), "it is none of the file's");
    assert!(member.spec.swarm.is_none());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let mut missing = Vec::new();
    for (text, expected) in [
        ("", vec!["1:1: says nothing"]),
        (
            "name: d\nnmae: e\ngroups: {n: {driver: docker, roles: [manager]}}\n",
            vec!["2:1: nmae: there is no such field; did you mean \"name\"?"],
        ),
        (
            "name: a b\ngroups: {n: {driver: docker, roles: [manager]}}\n",
            vec!["1:7: name: \"a b\" is not a machine name"],
        ),
        (
            "name: d\norchestrator: swarm\nttl: soon\ngroups:\n  n:\n    driver: docker\n    count: lots\n    roles: [manger]\n",
            vec![
                "2:15: orchestrator: \"swarm\" is not one of classic, swarm-mode, none",
                "3:6: ttl: \"soon\" is not a time",
                "7:12: groups.n.count: must be a whole number from 1 to 500, not \"lots\"",
                "8:13: groups.n.roles[0]: \"manger\" is not one of manager, worker, store; did you mean \"manager\"?",
            ],
        ),
        (
            "name: d\norchestrator: none\ndefaults:\n  driver: dokcer\n  engine: {opt: [a b], env: [X]}\ngroups:\n  n: {count: 0}\n",
            vec![
                "4:11: defaults.driver: there is no driver \"dokcer\"; did you mean \"docker\"?",
                "5:18: defaults.engine.opt[0]: must be an option of dockerd",
                "5:30: defaults.engine.env[0]: must be the name of an environment variable",
                "7:14: groups.n.count: must be a whole number from 1 to 500, not 0",
            ],
        ),
        (
            "name: d\norchestrator: none\ngroups:\n  n:\n    driver: docker\n    flags:\n      docker-memry: 1\n      docker-memory: ${SECRET}\n      docker-publish: perhaps\n",
            vec![
                "7:7: groups.n.flags.docker-memry: the docker driver has no such flag; did you mean \"docker-memory\"?",
                "8:22: groups.n.flags.docker-memory: must be a whole number, not \"${SECRET}\"",
                "9:23: groups.n.flags.docker-publish: must be true or false",
            ],
        ),
        (
            "name: d\norchestrator: none\ngroups:\n  n:\n    driver: generic\n    names: [a, b]\n    flags: {generic-ip-address: 10.0.0.1}\n",
            vec!["4:3: groups.n: one host cannot become several machines"],
        ),
        (
            "name: d\norchestrator: none\ngroups:\n  n: {driver: generic}\n",
            vec!["4:3: groups.n: the flag generic-ip-address is required"],
        ),
        (
            "name: d\norchestrator: none\ngroups:\n  n: {driver: generic, flags: {generic-ip-address: 'tcp://x'}}\n",
            vec!["4:52: groups.n.flags.generic-ip-address: \"tcp://x\" cannot be used"],
        ),
        (
            "name: d\norchestrator: none\ngroups:\n  n: {driver: docker, names: [a], count: 2}\n  m: {driver: docker, names: [a]}\n",
            vec![
                "4:30: groups.n.names: count, names and machines exclude each other",
                "5:6: groups.m: the machine a is in the group \"n\" already",
            ],
        ),
        (
            "name: d\ngroups: {n: {driver: docker, count: 2}}\n",
            vec!["2:9: groups: no group has the role manager"],
        ),
        (
            "name: d\ngroups: {n: {driver: docker, count: 2, roles: [manager]}}\n",
            vec!["2:9: groups: 2 managers share a store"],
        ),
        (
            "name: d\nstore: {kind: etcd, binary: a, image: b, package: true}\ndiscovery: zk://machine:s\n\
             groups: {n: {driver: docker, roles: [manager]}}\n",
            vec![
                "2:39: store.image: excludes the field binary",
                "2:51: store.package: excludes the field binary",
                "3:12: discovery: excludes the field store",
                "3:12: discovery: must be etcd://machine:NAME",
                "2:8: store: no group has the role store",
            ],
        ),
        (
            "name: d\nstore: {kind: zk}\norchestrator: none\ngroups: {n: {driver: docker}}\n",
            vec![
                "2:15: store.kind: \"zk\" is not one of etcd, consul",
                "2:8: store: is for clusters",
            ],
        ),
        (
            "name: d\ngroups: {n: {driver: docker, roles: [manager, store]}}\n",
            vec!["2:9: groups: the role store needs the field store"],
        ),
        (
            "name: d\norchestrator: none\ndiscovery: x\ngroups: {n: {driver: docker, roles: [worker]}}\n",
            vec![
                "3:12: discovery: is for clusters with the orchestrator classic",
                "3:12: discovery: must be a URL",
                "4:37: groups.n.roles: machines have roles in a cluster only",
            ],
        ),
        (
            "name: d\nname: e\norchestrator: none\ngroups: {n: {driver: docker, count: '${NONE}'}}\n",
            vec![
                "2:1: name: is here twice",
                "4:37: groups.n.count: the variable NONE is not set",
            ],
        ),
        (
            "name: d\ngroups: [a]\n",
            vec!["2:9: groups: must be a map of fields, not a list"],
        ),
        ("name: d\ngroups: {}\n", vec!["2:9: groups: names no group"]),
        ("name: [\n", vec!["cannot be read as YAML"]),
        ("name: !x d\n", vec!["cannot be read as YAML"]),
    ] {
        let problems = read(text).unwrap_err();
        for words in &expected {
            if !problems.iter().any(|it| it.contains(words)) {
                missing.push(format!("{words:?} is not told of\n{text}{problems:#?}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn no_value_of_a_variable_is_told() {
    for text in [
        "name: d\norchestrator: none\nttl: ${SECRET}\ngroups: {n: {driver: docker}}\n",
        "name: d\norchestrator: ${SECRET}\ngroups: {n: {driver: docker}}\n",
        "name: d ${SECRET}\norchestrator: none\ngroups: {n: {driver: docker}}\n",
        "name: d\norchestrator: none\ngroups: {n: {driver: docker, flags: {docker-memory: '${SECRET}'}}}\n",
        "name: d\norchestrator: none\ngroups: {n: {driver: docker, engine: {env: ['${SECRET}']}}}\n",
        "name: d\norchestrator: none\ngroups: {n: {driver: generic, flags: {generic-ip-address: 'x://${SECRET}'}}}\n",
    ] {
        let problems = read(text).unwrap_err().join("\n");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn a_name_can_be_read_of_a_file_that_is_wrong() {
    let name = |text| Cluster::read_name(text, &variables).map(|name| name.to_string());
    assert_eq!(name("name: d${COUNT}\nnonsense: ${NONE}\n").unwrap(), "d2");
    for bad in [
        "x: y\n",
        "name:\n",
        "name: [a]\n",
        "name: ${NONE}\n",
        "- a\n",
        "",
    ] {
        assert_eq!(name(bad).unwrap_err().len(), 1, "{bad:?}");
    }
}

#[test]
fn the_examples_can_be_used() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "yml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let cluster = read(&text)
                .unwrap_or_else(|problems| unreachable!("{}: {problems:#?}", path.display()));
            assert!(!cluster.members.is_empty());
            count += 1;
        }
    }
    assert!(count >= 3);
}

#[test]
fn the_schema_beside_the_documentation_is_the_one_of_the_fields() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster.schema.json");
    let made = format!("{:#}\n", schema());
    if std::env::var_os("RMACHINE_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, made,
        "RMACHINE_WRITE_SCHEMA=1 cargo test writes it anew"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "[ -~\n]{0,120}") {
        let _ = read(&text);
    }

    #[test]
    fn no_document_breaks_the_reader(
        field in "(name|groups|defaults|swarm|store|labels|ttl|orchestrator)",
        value in "(\\[a, \\{b: c\\}\\]|\\{x: \\[1, 2.5\\]\\}|~|true|'\\$'|\\{n: \\{count: -1, flags: 3\\}\\})",
    ) {
        let _ = read(&format!("name: d\n{field}: {value}\n"));
        let _ = read(&format!("{field}: {value}\n"));
    }
}
