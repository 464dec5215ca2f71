//! A cluster's state against engines on loopback that come, go, hang and change, and against a real
//! one.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod engine;
mod real;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use engine::Simulated;
use rswarm::cluster::{Cluster, ClusterSettings, EngineTls, ListQuery, NodeStatus, PlaceError};
use rswarm_discovery::Entry;
use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Filter, Request, Scheduler, Strategy};
use serde_json::{Value, json};

/// How long anything may take to become so.
const LIMIT: Duration = Duration::from_secs(30);

fn cluster() -> Cluster {
    let filters = vec![Filter::Health, Filter::Port, Filter::Constraint];
    Cluster::new(ClusterSettings {
        refresh_min: Duration::from_millis(500),
        refresh_max: Duration::from_millis(600),
        failure_retry: 3,
        overcommit: Overcommit::default(),
        scheduler: Scheduler::new(Strategy::Spread, filters),
        tls: EngineTls::Off,
        call_limit: Duration::from_millis(400),
    })
}

fn entries<'a>(addrs: impl IntoIterator<Item = &'a String>) -> BTreeSet<Entry> {
    let addrs = addrs.into_iter();
    addrs.map(|addr| addr.parse().unwrap()).collect()
}

/// Waits until it is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_status(cluster: &Cluster, addr: &str, status: NodeStatus) {
    until(&format!("{addr} is {status}"), || {
        let nodes = cluster.nodes();
        nodes
            .iter()
            .any(|node| *node.addr == *addr && node.status == status)
    })
    .await;
}

fn error_of(cluster: &Cluster, addr: &str) -> String {
    let nodes = cluster.nodes();
    let node = nodes.iter().find(|node| *node.addr == *addr).unwrap();
    node.error.clone().unwrap_or_default()
}

fn list(cluster: &Cluster, query: &ListQuery) -> Vec<Value> {
    let parts = cluster.list_containers(query).unwrap();
    let bytes: Vec<u8> = parts.flatten().collect();
    serde_json::from_slice(&bytes).unwrap()
}

fn all() -> ListQuery {
    ListQuery {
        all: true,
        ..ListQuery::default()
    }
}

#[tokio::test]
async fn containers_come_change_and_go_with_events() {
    let engine = Simulated::start("node-1").await;
    engine.create("aaa1", "web", &json!({ "a": "b" }), false);
    let cluster = cluster();
    cluster.set_members(&entries([&engine.addr]));
    until_status(&cluster, &engine.addr, NodeStatus::Healthy).await;
    cluster.settle().await;
    assert_eq!(&*cluster.images()[0].objects[0].names[0], "nginx:1");
    assert_eq!(&*cluster.volumes()[0].objects[0].id, "v");
    assert_eq!(&*cluster.networks()[0].objects[0].driver, "bridge");
    assert_eq!(list(&cluster, &all())[0]["Names"], json!(["/node-1/web"]));
    assert_eq!(list(&cluster, &ListQuery::default()), Vec::<Value>::new());

    engine.start_container("aaa1");
    until("it runs", || {
        !list(&cluster, &ListQuery::default()).is_empty()
    })
    .await;
    let listed = &list(&cluster, &ListQuery::default())[0];
    assert_eq!(listed["State"], "running");
    assert_eq!(
        listed["Ports"],
        json!([{ "IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" }])
    );
    // What only an inspection tells comes by itself.
    until("it is inspected", || {
        cluster.nodes()[0].reserved.memory == 1_000_000
    })
    .await;
    assert_eq!(cluster.nodes()[0].reserved.cpus, 1);
    assert_eq!(cluster.nodes()[0].counts.running, 1);

    engine.create("bbb2", "db", &json!({}), true);
    until("it is created", || cluster.resolve_container("db").is_ok()).await;
    for name in ["bbb2", "b", "/db", "node-1/db", "ID-node-1/db"] {
        assert_eq!(
            &*cluster.resolve_container(name).unwrap().id,
            "bbb2",
            "{name}"
        );
    }
    engine.destroy("bbb2");
    until("it has gone", || cluster.resolve_container("db").is_err()).await;

    cluster.set_members(&BTreeSet::new());
    assert!(cluster.nodes().is_empty() && list(&cluster, &all()).is_empty());
}

#[tokio::test]
async fn many_events_at_once_are_read_together() {
    const MANY: usize = 200;
    let engine = Simulated::start("node-1").await;
    engine.create("aaa1", "web", &json!({}), false);
    let cluster = cluster();
    let mut events = cluster.events(None);
    cluster.set_members(&entries([&engine.addr]));
    until_status(&cluster, &engine.addr, NodeStatus::Healthy).await;
    cluster.settle().await;
    let before = engine.asked("/containers/json");
    for _ in 0..MANY {
        engine.start_container("aaa1");
    }
    let mut told = 0;
    while told < MANY {
        let event = tokio::time::timeout(LIMIT, events.next()).await.unwrap();
        told += usize::from(event.unwrap().json.contains("\"start\""));
    }
    let asked = engine.asked("/containers/json") - before;
    assert!(asked < MANY / 2, "asked {asked} times");
}

#[tokio::test]
async fn events_carry_their_node_and_can_be_had_later() {
    let engine = Simulated::start("node-1").await;
    let cluster = cluster();
    let mut events = cluster.events(None);
    cluster.set_members(&entries([&engine.addr]));
    let mut next = async || -> Value {
        let event = tokio::time::timeout(LIMIT, events.next()).await.unwrap();
        serde_json::from_str(&event.unwrap().json).unwrap()
    };
    let connect = next().await;
    assert_eq!(connect["Action"], "engine_connect");
    assert_eq!(connect["node"]["Name"], "node-1");
    engine.create("aaa1", "web", &json!({}), true);
    let create = next().await;
    assert_eq!(create["from"], "nginx:1 node:node-1");
    assert_eq!(create["Actor"]["Attributes"]["node.addr"], *engine.addr);
    let mut earlier = cluster.events(Some(0));
    assert!(
        earlier
            .next()
            .await
            .unwrap()
            .json
            .contains("engine_connect")
    );
    assert!(earlier.next().await.unwrap().json.contains("\"create\""));
}

#[tokio::test]
async fn a_node_that_ends_is_lost_and_comes_back() {
    let engine = Simulated::start("node-1").await;
    let addr = engine.addr.clone();
    engine.create("aaa1", "web", &json!({}), false);
    engine.start_container("aaa1");
    let cluster = cluster();
    cluster.set_members(&entries([&addr]));
    until_status(&cluster, &addr, NodeStatus::Healthy).await;
    drop(engine);
    until_status(&cluster, &addr, NodeStatus::Unhealthy).await;
    let error = error_of(&cluster, &addr);
    assert!(
        error.starts_with("Cannot connect to the Docker daemon at tcp://"),
        "{error}"
    );
    assert_eq!(list(&cluster, &all())[0]["Status"], "Host Down");
    assert!(list(&cluster, &ListQuery::default()).is_empty());
    assert!(!cluster.resolve_container("web").unwrap().node.is_healthy);

    let engine = Simulated::start_at("node-1", &addr).await;
    until_status(&cluster, &addr, NodeStatus::Healthy).await;
    assert!(list(&cluster, &all()).is_empty());
    assert_eq!(error_of(&cluster, &addr), "");

    drop(engine);
    until_status(&cluster, &addr, NodeStatus::Unhealthy).await;
    let _other = Simulated::start_at("node-2", &addr).await;
    until_status(&cluster, &addr, NodeStatus::Pending).await;
    let error = error_of(&cluster, &addr);
    assert!(
        error.contains("shows up with another ID:ID-node-2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_node_that_hangs_is_lost_and_hurts_nobody() {
    let (hung, well) = (
        Simulated::start("hung").await,
        Simulated::start("well").await,
    );
    let cluster = cluster();
    cluster.set_members(&entries([&hung.addr, &well.addr]));
    for engine in [&hung, &well] {
        until_status(&cluster, &engine.addr, NodeStatus::Healthy).await;
    }
    hung.hang(true);
    well.create("aaa1", "web", &json!({}), true);
    until("the other goes on", || {
        cluster.resolve_container("web").is_ok()
    })
    .await;
    until_status(&cluster, &hung.addr, NodeStatus::Unhealthy).await;
    let error = error_of(&cluster, &hung.addr);
    assert!(error.contains("did not answer within"), "{error}");
    let placed = cluster.place(Request::default().named("x"), "s1").unwrap();
    assert_eq!(*placed.node().about.addr, *well.addr);
    hung.hang(false);
    until_status(&cluster, &hung.addr, NodeStatus::Healthy).await;
}

#[tokio::test]
async fn who_never_answers_is_pending_with_a_reason() {
    let cluster = cluster();
    let nobody = "127.0.0.1:1".to_owned();
    cluster.set_members(&entries([&nobody]));
    until("the reason is known", || {
        error_of(&cluster, &nobody).contains("hint:")
    })
    .await;
    assert_eq!(cluster.nodes()[0].status, NodeStatus::Pending);
    let refused = cluster.place(Request::default(), "s1").err();
    assert!(
        matches!(&refused, Some(PlaceError::Unschedulable(why))
            if why.to_string() == "No healthy node available in the cluster"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn places_and_names_are_held_until_they_are_let_go() {
    let engines = [Simulated::start("a").await, Simulated::start("b").await];
    let cluster = cluster();
    cluster.set_members(&entries(engines.iter().map(|engine| &engine.addr)));
    for engine in &engines {
        until_status(&cluster, &engine.addr, NodeStatus::Healthy).await;
    }
    let config = json!({ "HostConfig": {
        "PortBindings": { "80/tcp": [{ "HostPort": "80" }] }, "Memory": 1_000_000,
    } });
    let request = || Request::from_config(&config).unwrap();
    let one = cluster.place(request().named("one"), "s1").unwrap();
    let two = cluster.place(request().named("two"), "s2").unwrap();
    assert_ne!(one.node().about.addr, two.node().about.addr);
    let third = cluster.place(request().named("three"), "s3").err();
    assert!(
        matches!(third, Some(PlaceError::Unschedulable(_))),
        "{third:?}"
    );
    let taken = cluster.place(Request::default().named("one"), "s4").err();
    assert_eq!(taken, Some(PlaceError::NameTaken("one".to_owned())));
    assert!(cluster.reserve_name("two").is_err());
    drop(two);
    assert!(cluster.reserve_name("two").is_ok());
    let again = cluster.place(request().named("two"), "s2").unwrap();

    // Created, it is known at once, and holds the place itself.
    let addr = again.node().about.addr.clone();
    let engine = engines.iter().find(|engine| *engine.addr == *addr).unwrap();
    engine.create("ccc3", "two", &json!({ "com.docker.swarm.id": "s2" }), true);
    again.created("ccc3", "nginx:1");
    for name in ["ccc3", "two", "s2"] {
        assert_eq!(
            &*cluster.resolve_container(name).unwrap().id,
            "ccc3",
            "{name}"
        );
    }
    // Who moves has the same id within the cluster, and may keep the name.
    assert!(cluster.place(Request::default().named("two"), "s2").is_ok());
    assert!(
        cluster
            .place(Request::default().named("two"), "s5")
            .is_err()
    );
    cluster.settle().await;
    let full = cluster.place(request().named("three"), "s3").err();
    assert!(
        matches!(full, Some(PlaceError::Unschedulable(_))),
        "{full:?}"
    );
    assert_eq!(engine.asked("/containers/ccc3/json"), 0);
}
