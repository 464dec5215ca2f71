//! The journal on disk, and who may change it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::fs;
use std::time::Duration;

use rmachine_cluster::{ClusterError, ClusterJournal, Clusters, Lease, Orchestrator, Owned};
use rmachine_driver::MachineName;
use rmachine_machine::Store;
use tempfile::TempDir;
use time::OffsetDateTime;

struct World {
    _dir: TempDir,
    store: Store,
    clusters: Clusters,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let clusters = Clusters::new(store.layout());
        Self {
            _dir: dir,
            store,
            clusters,
        }
    }

    fn journal(&self, lease: Option<Lease>) -> ClusterJournal {
        let text = "name: d\norchestrator: none\ngroups: {n: {driver: none, flags: {url: 'tcp://h:2376'}}}\n";
        let kinds: Vec<Box<dyn rmachine_driver::DriverKind>> =
            vec![Box::new(rmachine_none::UrlOnly)];
        let machines =
            rmachine_lifecycle::Machines::new(self.store.clone(), kinds, Default::default());
        let cluster = rmachine_cluster::Cluster::read(text, &|_| None, &machines).unwrap();
        ClusterJournal::new(&cluster, "/c.yml".into(), lease)
    }
}

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

#[test]
fn what_is_kept_is_there_for_the_next_process() {
    let world = World::new();
    let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
    let guard = world.clusters.take(&name("d"), Duration::ZERO).unwrap();
    assert_eq!(guard.journal(), None);
    assert_eq!(world.clusters.names().unwrap(), []);
    let until = Lease::Until(now);
    guard.keep(|| world.journal(Some(until)), |_| {}).unwrap();
    let owned = Owned {
        group: "n".to_owned(),
        since: Some(now),
        ..Owned::default()
    };
    guard
        .update(|journal| drop(journal.machines.insert(name("d-n-1"), owned)))
        .unwrap();

    let read = world.clusters.load(&name("d")).unwrap().unwrap();
    assert_eq!(Some(&read), guard.journal().as_ref());
    assert_eq!(world.clusters.names().unwrap(), [name("d")]);
    assert!(read.is_over(now) && !read.is_over(now - time::Duration::SECOND));
    assert!(read.machines[&name("d-n-1")].is(Some(now)));
    assert!(!read.machines[&name("d-n-1")].is(Some(now + time::Duration::SECOND)));

    guard.forget().unwrap();
    guard.forget().unwrap();
    assert_eq!(world.clusters.load(&name("d")).unwrap(), None);
    assert!(!world.store.layout().cluster_dir(&name("d")).exists());
}

#[test]
fn one_at_a_time_changes_a_cluster() {
    let world = World::new();
    let guard = world.clusters.take(&name("d"), Duration::ZERO).unwrap();
    let wait = Duration::from_millis(20);
    match world.clusters.take(&name("d"), wait) {
        Err(ClusterError::Busy { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        other => unreachable!("{other:?}"),
    }
    world.clusters.take(&name("e"), Duration::ZERO).unwrap();
    drop(guard);
    world.clusters.take(&name("d"), Duration::ZERO).unwrap();
}

#[test]
fn a_journal_that_cannot_be_read_is_named() {
    let world = World::new();
    let path = world.store.layout().cluster_journal(&name("d"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let good = serde_json::to_value(world.journal(None)).unwrap();
    let mut newer = good.clone();
    newer["Version"] = 2.into();
    for text in ["{ half".to_owned(), newer.to_string(), "[]".to_owned()] {
        fs::write(&path, text).unwrap();
        let error = world.clusters.load(&name("d")).unwrap_err().to_string();
        assert!(error.contains("journal.json"), "{error}");
        assert!(world.clusters.take(&name("d"), Duration::ZERO).is_err());
    }
    fs::write(&path, good.to_string()).unwrap();
    world.clusters.take(&name("d"), Duration::ZERO).unwrap();
}

#[test]
fn managers_go_after_those_that_they_help_to_leave() {
    let world = World::new();
    let mut journal = world.journal(None);
    for (machine, manager) in [("m1", true), ("m2", true), ("n1", false), ("n2", false)] {
        let owned = Owned {
            manager,
            ..Owned::default()
        };
        journal.machines.insert(name(machine), owned);
    }
    let ways = |journal: &ClusterJournal| {
        let ways = journal.ways_out().into_iter();
        let names = |way: Vec<MachineName>| way.iter().map(ToString::to_string).collect();
        ways.map(names).collect::<Vec<Vec<String>>>()
    };
    journal.orchestrator = Orchestrator::Classic;
    assert_eq!(ways(&journal), [["n1", "n2"], ["m1", "m2"]]);
    journal.orchestrator = Orchestrator::SwarmMode;
    assert_eq!(ways(&journal), [vec!["n1", "n2"], vec!["m2"], vec!["m1"]]);
    for (machine, manager) in [("a1", false), ("a2", true)] {
        let owned = Owned {
            manager,
            store: true,
            ..Owned::default()
        };
        journal.machines.insert(name(machine), owned);
    }
    journal.orchestrator = Orchestrator::Classic;
    let last = [vec!["n1", "n2"], vec!["m1", "m2"], vec!["a2"], vec!["a1"]];
    assert_eq!(ways(&journal), last);
}

#[test]
fn a_lease_of_a_process_is_over_without_it() {
    let world = World::new();
    let now = OffsetDateTime::now_utc();
    assert!(world.journal(Some(Lease::Process)).is_over(now));
    assert!(!world.journal(None).is_over(now));
}
