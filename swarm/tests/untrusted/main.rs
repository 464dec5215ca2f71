//! Rescheduling with engines that report what they like: one node must not act on another.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod engine;
mod manager;
mod party;

use std::sync::Arc;

use engine::{Engine, now};
use http::Method;
use manager::Manager;
use party::Party;
use rmachine_pki::ManagerKey;
use rswarm::statement::{Predecessor, SignedRequest, SignedStatement, Statement, cluster_id};
use serde_json::{Value, json};

const POLICY: &str = "com.docker.swarm.reschedule-policies";
const SWARM_ID: &str = "com.docker.swarm.id";
const STATEMENT: &str = "io.rmachine.rswarm.statement";

/// Long before any node is lost.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// What a container of root on the host requests.
fn privileges() -> Value {
    json!({"Privileged": true, "PidMode": "host", "Binds": ["/:/host"]})
}

/// The configuration that an engine reports of a container to be rescheduled.
fn config(swarm_id: &str, labels: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "Image": "nginx:1", "Env": ["PATH=/bin"],
        "Labels": {SWARM_ID: swarm_id, POLICY: "[\"on-node-failure\"]"},
    });
    for (label, value) in labels {
        config["Labels"][*label] = json!(value);
    }
    config
}

async fn engines<const N: usize>(party: &Party) -> [Engine; N] {
    let mut engines = Vec::new();
    for number in 0..N {
        engines.push(Engine::start(&format!("n{number}"), Some(party.engine_tls())).await);
    }
    engines.try_into().ok().unwrap()
}

fn nodes_cluster() -> Arc<str> {
    cluster_id(&"nodes://127.0.0.1:1".parse().unwrap(), None).unwrap()
}

/// A statement about a container on an engine, in this cluster.
fn statement(engine: &str, swarm_id: &str, request: Value) -> Statement {
    let id = format!("ID-{engine}");
    let mut statement = Statement::new(&nodes_cluster(), swarm_id, &id, "127.0.0.1:1", "x");
    statement.request = SignedRequest::of(request);
    statement
}

fn sign(key: &ManagerKey, statement: &Statement) -> String {
    SignedStatement::sign(statement, key).unwrap()
}

fn privileged_request() -> Value {
    json!({"Image": "nginx:1", "HostConfig": privileges()})
}

fn names(created: &[(String, Value)]) -> Vec<&str> {
    created.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_container_that_no_manager_created_is_not_rescheduled() {
    let party = Party::new();
    let [mut hostile, other] = engines(&party).await;
    hostile.add(
        "e".repeat(64).as_str(),
        "evil",
        &config("s1", &[]),
        &privileges(),
    );
    hostile.add(
        "f".repeat(64).as_str(),
        "plain",
        &config("s2", &[]),
        &json!({}),
    );
    let manager = Manager::start(&party, &party.manager(), &[&hostile, &other], &[]).await;
    manager.until_inspected(&[2]).await;

    hostile.cut_off();
    let is_shown = |info: &str| info.contains("1 (unverified with privileges)");
    manager.until_info("it is shown", is_shown).await;
    let is_moved = || other.container("plain").is_some();
    manager.until("the other one is moved", is_moved).await;
    assert_eq!(names(&other.created()), ["plain"]);
    let log = manager.log();
    let logged = "container evil of n0 is not rescheduled: unverified (no manager signed its \
                  request), and requests HostConfig.Privileged";
    assert_eq!(log.matches(logged).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unverified_container_is_rescheduled_where_the_user_allows_it() {
    let party = Party::new();
    let [mut lost, other] = engines(&party).await;
    lost.add(
        "e".repeat(64).as_str(),
        "old",
        &config("s1", &[]),
        &privileges(),
    );
    let options = ["--cluster-opt=swarm.reschedule-unverified"];
    let manager = Manager::start(&party, &party.manager(), &[&lost, &other], &options).await;
    manager.until_inspected(&[1]).await;
    lost.cut_off();
    let is_moved = || other.container("old").is_some();
    manager.until("it is moved", is_moved).await;
    assert_eq!(other.created()[0].1["HostConfig"]["Privileged"], true);
    let info = manager.info().await;
    assert!(
        info.contains("all containers (swarm.reschedule-unverified)"),
        "{info}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_replayed_statements_are_unverified() {
    let party = Party::new();
    let stranger = Party::new();
    let [mut hostile, other] = engines(&party).await;
    let manager_key = party.key(party.manager());
    let request = privileged_request;
    let signed =
        |engine: &str, swarm_id: &str| sign(&manager_key, &statement(engine, swarm_id, request()));
    let mut with_env = request();
    with_env["Env"] = json!(["A=b"]);
    let mut other_cluster = statement("n0", "s3", request());
    other_cluster.cluster = "x".repeat(64);
    let forgeries = [
        ("of-another-node", "s1", signed("n1", "s1")),
        ("of-another-container", "s2", signed("n0", "s1")),
        (
            "of-another-cluster",
            "s3",
            sign(&manager_key, &other_cluster),
        ),
        (
            "with-another-body",
            "s4",
            signed("n0", "s4").replace("nginx:1", "nginx:2"),
        ),
        (
            "with-another-env",
            "s5",
            sign(&manager_key, &statement("n0", "s5", with_env)),
        ),
        (
            "by-an-engine",
            "s6",
            sign(
                &party.key(party.engine()),
                &statement("n0", "s6", request()),
            ),
        ),
        (
            "by-a-stranger",
            "s7",
            sign(
                &stranger.key(stranger.manager()),
                &statement("n0", "s7", request()),
            ),
        ),
        ("malformed", "s8", "x".to_owned()),
    ];
    for (number, (name, swarm_id, label)) in forgeries.iter().enumerate() {
        let config = config(swarm_id, &[(STATEMENT, label)]);
        hostile.add(&format!("{number:0>64}"), name, &config, &privileges());
    }
    // The same without a fault, and nothing of it in what the engine reports.
    let valid = config("s9", &[(STATEMENT, &signed("n0", "s9"))]);
    hostile.add("9".repeat(64).as_str(), "valid", &valid, &json!({}));
    let manager = Manager::start(&party, &party.manager(), &[&hostile, &other], &[]).await;
    manager.until_inspected(&[9]).await;

    hostile.cut_off();
    let is_shown = |info: &str| info.contains("8 (unverified with privileges)");
    manager
        .until_info("all forgeries are shown", is_shown)
        .await;
    let is_moved = || other.container("valid").is_some();
    manager.until("the valid one is moved", is_moved).await;
    let created = other.created();
    assert_eq!(names(&created), ["valid"]);
    assert_eq!(created[0].1["HostConfig"]["Binds"], json!(["/:/host"]));
    let log = manager.log();
    for (name, why) in [
        ("of-another-node", "its statement is for another node"),
        (
            "of-another-container",
            "its statement is for another container",
        ),
        ("of-another-cluster", "its statement is for another cluster"),
        (
            "with-another-body",
            "the signature does not match the content",
        ),
        (
            "with-another-env",
            "its environment is not the one that was signed",
        ),
        (
            "by-an-engine",
            "the signer's certificate is not one of a manager",
        ),
        ("by-a-stranger", "the signer's certificate is rejected"),
        ("malformed", "its statement is malformed"),
    ] {
        let line = format!("container {name} of n0 is not rescheduled: unverified ({why}");
        assert!(log.contains(&line), "{line}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_container_is_rescheduled_by_another_manager_after_rename_and_update() {
    let party = Party::new();
    let [mut lost, other] = engines(&party).await;
    let nodes = [&lost, &other];
    let first = Manager::start(&party, &party.manager(), &nodes, &[]).await;
    let body = json!({
        "Image": "nginx:1", "Cmd": ["serve"],
        "Env": ["PASSWORD=secret", "constraint:node==~n0", "reschedule:on-node-failure"],
        "Labels": {"a": "b", "io.rmachine.rswarm.replaces": "0123"},
        "HostConfig": {"Privileged": true, "Binds": ["/srv:/srv"], "CpuShares": 1},
    });
    let created = first
        .call(Method::POST, "/containers/create?name=web", Some(&body))
        .await;
    let id = created["Id"].as_str().unwrap().to_owned();
    let change = async |action: &str, body: Option<&Value>| {
        let path = format!("/containers/{id}/{action}");
        first.call(Method::POST, &path, body).await;
    };
    change("start", None).await;
    change("rename?name=www", None).await;
    let update = json!({"Memory": 64 << 20, "RestartPolicy": {"Name": "always"}});
    change("update", Some(&update)).await;
    let reported = lost.container("www").unwrap();
    let label = reported["Config"]["Labels"][STATEMENT].as_str().unwrap();
    assert!(!label.contains("secret"), "{label}");
    assert_eq!(
        reported["Config"]["Labels"]["io.rmachine.rswarm.replaces"],
        json!(null)
    );
    drop(first);

    let second = Manager::start(&party, &party.manager(), &nodes, &[]).await;
    second.until_inspected(&[64]).await;
    lost.cut_off();
    let is_running = |engine: &Engine, name: &str| {
        engine
            .container(name)
            .is_some_and(|found| found["State"]["Running"] == true)
    };
    second
        .until("it runs elsewhere", || is_running(&other, "www"))
        .await;
    let (name, body) = other.created().remove(0);
    assert_eq!(name, "www");
    assert_eq!(body["Env"], json!(["PASSWORD=secret"]));
    assert_eq!(body["Cmd"], json!(["serve"]));
    assert_eq!(body["Labels"]["a"], "b");
    let host = &body["HostConfig"];
    assert_eq!(host["Privileged"], true);
    assert_eq!(host["Binds"], json!(["/srv:/srv"]));
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    // One of four processors.
    assert_eq!(host["CpuShares"], 256);

    // A third manager knows from the statement alone that the copy has its place.
    drop(second);
    lost.run(&id, &now());
    lost.reconnect().await;
    let third = Manager::start(&party, &party.manager(), &[&lost, &other], &[]).await;
    let retired = format!("www.replaced-{}", &id[..12]);
    let is_retired = || lost.container(&retired).is_some();
    third.until("the original is retired", is_retired).await;
    assert!(!is_running(&lost, &retired));
    assert!(is_running(&other, "www"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn original_that_never_stopped_wins_over_its_copy() {
    let party = Party::new();
    let [mut lost, other] = engines(&party).await;
    let manager = Manager::start(&party, &party.manager(), &[&lost, &other], &[]).await;
    let body = json!({
        "Image": "nginx:1", "Env": ["constraint:node==~n0", "reschedule:on-node-failure"],
    });
    let created = manager
        .call(Method::POST, "/containers/create?name=web", Some(&body))
        .await;
    let id = created["Id"].as_str().unwrap().to_owned();
    lost.run(&id, LONG_AGO);
    let update = json!({"Memory": 2 << 20});
    let path = format!("/containers/{id}/update");
    manager.call(Method::POST, &path, Some(&update)).await;
    manager.until_inspected(&[2]).await;
    let updates = lost.changes_of(&id).len();
    lost.cut_off();
    let copy = || {
        other
            .container("web")
            .filter(|copy| copy["State"]["Running"] == true)
    };
    manager.until("the copy runs", || copy().is_some()).await;
    let copy_id = copy().unwrap()["Id"].as_str().unwrap().to_owned();

    lost.reconnect().await;
    let retired = format!("web.replaced-{}", &copy_id[..12]);
    let is_retired = || other.container(&retired).is_some();
    manager.until("the copy is retired", is_retired).await;
    assert_eq!(
        other.container(&retired).unwrap()["State"]["Running"],
        false
    );
    assert_eq!(lost.container("web").unwrap()["State"]["Running"], true);
    assert_eq!(lost.changes_of(&id).len(), updates);
    // The loser is kept.
    assert!(
        other
            .changes_of(&copy_id)
            .iter()
            .all(|path| !path.contains("v=1"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_no_manager_signed_retire_nothing() {
    let party = Party::new();
    let [victim, hostile] = engines(&party).await;
    let manager_key = party.key(party.manager());
    let replacing = |key: &ManagerKey, swarm_id: &str, id: &str| {
        let mut statement = statement("n1", swarm_id, privileged_request());
        "db".clone_into(&mut statement.name);
        statement.replaces = vec![Predecessor {
            id: id.to_owned(),
            engine: "ID-n0".to_owned(),
            lost_at: 2_000_000_000,
        }];
        sign(key, &statement)
    };
    let id = |digit: &str| digit.repeat(64);
    // What a manager signed, to see that one of its kind is found.
    victim.add(&id("1"), "db", &config("s1", &[]), &json!({}));
    let by_manager = replacing(&manager_key, "s1", &id("1"));
    hostile.add(
        &id("a"),
        "db2",
        &config("s1", &[(STATEMENT, &by_manager)]),
        &json!({}),
    );
    // What a node can make up, and what it can take from elsewhere.
    for (digit, swarm_id, copied) in [("2", "s2", "s2"), ("3", "s3", "s1")] {
        victim.add(&id(digit), "db", &config(swarm_id, &[]), &json!({}));
        victim.run(&id(digit), &now());
        let label = if copied == swarm_id {
            replacing(&party.key(party.engine()), swarm_id, &id(digit))
        } else {
            by_manager.clone()
        };
        let labels = [
            (STATEMENT, label.as_str()),
            ("io.rmachine.rswarm.replaces", &id(digit)),
        ];
        let name = format!("copy{digit}");
        hostile.add(
            &id(digit).replace(digit, "b"),
            &name,
            &config(swarm_id, &labels),
            &json!({}),
        );
    }
    let manager = Manager::start(&party, &party.manager(), &[&victim, &hostile], &[]).await;
    let retired = format!("db.replaced-{}", &id("1")[..12]);
    let is_retired = || victim.container(&retired).is_some();
    manager
        .until("the replaced one is retired", is_retired)
        .await;
    drop(manager);
    for digit in ["2", "3"] {
        assert_eq!(
            victim.changes_of(&id(digit)),
            Vec::<String>::new(),
            "{digit}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_of_the_managers_network_moves_nothing() {
    let party = Party::new();
    let [mut one, mut two, three] = engines(&party).await;
    one.add(&"1".repeat(64), "web1", &config("s1", &[]), &json!({}));
    two.add(&"2".repeat(64), "web2", &config("s2", &[]), &json!({}));
    let nodes = [&one, &two, &three];
    let manager = Manager::start(&party, &party.manager(), &nodes, &[]).await;
    manager.until_inspected(&[1, 1]).await;
    one.cut_off();
    two.cut_off();
    let is_shown = |info: &str| info.contains("contact with 1 of 3 nodes");
    manager.until_info("it is suspended", is_shown).await;
    let is_down = |info: &str| info.matches("Unhealthy").count() == 2;
    manager.until_info("both are lost", is_down).await;

    // With two of three it goes on, and only then.
    two.reconnect().await;
    let moved = || two.container("web1").is_some() || three.container("web1").is_some();
    manager.until("the lost one is moved", moved).await;
    assert!(!names(&three.created()).contains(&"web2"));
    assert!(two.changes_of(&"2".repeat(64)).is_empty());
    let log = manager.log();
    assert!(
        log.contains("rescheduling is suspended: contact with 1 of 3 nodes"),
        "{log}"
    );
    let resumed = log.find("rescheduling resumes").unwrap();
    assert!(
        resumed < log.find("Rescheduled container web1").unwrap_or(usize::MAX),
        "{log}"
    );
    drop(one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn container_with_swarm_id_or_name_of_another_one_is_not_rescheduled() {
    let party = Party::new();
    let [mut hostile, other] = engines(&party).await;
    let id = |digit: &str| digit.repeat(64);
    other.add(&id("1"), "db", &config("s1", &[]), &json!({}));
    other.run(&id("1"), &now());
    hostile.add(&id("a"), "copy", &config("s1", &[]), &json!({}));
    hostile.add(&id("b"), "db", &config("s2", &[]), &json!({}));
    hostile.add(&id("c"), "plain", &config("s3", &[]), &json!({}));
    let manager = Manager::start(&party, &party.manager(), &[&hostile, &other], &[]).await;
    manager.until_inspected(&[3, 1]).await;
    hostile.cut_off();
    let is_shown = |info: &str| info.contains("1 (swarm ID in use by another container)");
    manager.until_info("the copy is shown", is_shown).await;
    let is_logged = || {
        let log = manager.log();
        log.contains("container db of n0 cannot be rescheduled yet: the name db is in use")
            && log.contains(
                "container copy of n0 is not rescheduled: its swarm ID is in use by n1/db",
            )
    };
    manager.until("the reasons are logged", is_logged).await;
    let is_moved = || other.container("plain").is_some();
    manager.until("the other one is moved", is_moved).await;
    assert_eq!(names(&other.created()), ["plain"]);
    assert!(other.changes_of(&id("1")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn container_of_a_node_that_answers_is_not_rescheduled() {
    let party = Party::new();
    let [mut left, other] = engines(&party).await;
    left.add(&"1".repeat(64), "web", &config("s1", &[]), &json!({}));
    let members = party.file("members");
    let both = format!("{}\n{}\n", left.addr, other.addr);
    std::fs::write(&members, both).unwrap();
    let url = format!("file://{}", members.display());
    let made = party.manager();
    let options = ["--heartbeat=1s"];
    let manager = Manager::start_with(Some((&party, &made)), &url, 2, &options).await;
    manager.until_inspected(&[1]).await;
    std::fs::write(&members, &other.addr).unwrap();
    let is_logged = || {
        let log = manager.log();
        log.contains("container web of n0 cannot be rescheduled yet: its node answers again")
    };
    manager.until("the node is asked", is_logged).await;
    assert!(other.created().is_empty());
    left.cut_off();
    let is_moved = || other.container("web").is_some();
    manager
        .until("it is moved once the node is gone", is_moved)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manager_without_tls_retires_what_it_moved_itself_only() {
    let [mut lost, other] = [
        Engine::start("n0", None).await,
        Engine::start("n1", None).await,
    ];
    let id = "1".repeat(64);
    lost.add(&id, "web", &config("s1", &[]), &json!({}));
    lost.add(&"2".repeat(64), "root", &config("s2", &[]), &privileges());
    let manager = Manager::start_plain(&[&lost, &other]).await;
    manager.until_inspected(&[2]).await;
    lost.cut_off();
    let is_moved = || other.container("web").is_some();
    manager.until("it is moved", is_moved).await;
    let is_shown = |info: &str| info.contains("1 (unverified with privileges)");
    manager.until_info("the other one is shown", is_shown).await;
    assert_eq!(names(&other.created()), ["web"]);
    let body = &other.created()[0].1;
    assert!(body["Labels"].get(STATEMENT).is_none(), "{body}");

    lost.reconnect().await;
    let retired = format!("web.replaced-{}", &id[..12]);
    let is_retired = || lost.container(&retired).is_some();
    manager.until("the original is retired", is_retired).await;
}
