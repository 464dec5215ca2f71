//! Engines that are killed, hang, and come back as another.

use std::time::{Duration, Instant};

use rswarm::cluster::NodeStatus;

use crate::engine::Dockerd;
use crate::manager::Manager;
use crate::{engines, with_image};

/// How long others may take while one hangs.
const UNHURT: Duration = Duration::from_secs(20);

async fn run(manager: &Manager, node: &str, name: &str) {
    let constraint = format!("constraint:node=={node}");
    let run = [
        "run",
        "-d",
        "--name",
        name,
        "-e",
        &constraint,
        "busy:1",
        "sleep",
        "600",
    ];
    manager.done(&run).await;
}

fn status(manager: &Manager, engine: &Dockerd) -> (NodeStatus, String) {
    let addr = format!("127.0.0.1:{}", engine.port);
    let nodes = manager.cluster.nodes();
    let node = nodes.iter().find(|node| *node.addr == *addr).unwrap();
    (node.status, node.error.clone().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_die_hang_and_change() {
    let Some(mut engines) = engines(11).await else {
        return;
    };
    let manager = Manager::start(&engines).await;
    with_image(&manager).await;
    run(&manager, "node-11", "here").await;
    run(&manager, "node-12", "there").await;
    killed_and_started_again(&manager, &mut engines[1]).await;
    paused(&manager, &engines[1]).await;
    manager.done(&["rm", "-f", "here", "there"]).await;
    another_id(&manager, &mut engines[1]).await;
}

async fn killed_and_started_again(manager: &Manager, engine: &mut Dockerd) {
    engine.kill();
    manager
        .until("a killed engine's node is lost", || {
            status(manager, engine).0 != NodeStatus::Healthy
        })
        .await;
    let begun = Instant::now();
    manager.done(&["exec", "here", "true"]).await;
    // What was there is still known, and what cannot be done says where it cannot.
    assert!(manager.done(&["ps", "-a"]).await.contains("node-12/there"));
    let said = manager.fails(&["exec", "there", "true"]).await;
    assert!(said.contains("node-12"), "{said}");
    let info = manager.done(&["info"]).await;
    assert!(info.contains("Status: Unhealthy"), "{info}");
    assert!(
        info.contains("Cannot connect to the Docker daemon"),
        "{info}"
    );
    // New containers go where there is an engine.
    manager.done(&["run", "--rm", "busy:1", "true"]).await;
    assert!(begun.elapsed() < UNHURT, "a dead node slows others");
    engine.start_again().await;
    manager
        .until("a node is back", || {
            status(manager, engine).0 == NodeStatus::Healthy
        })
        .await;
    manager.done(&["start", "there"]).await;
    manager.done(&["exec", "there", "true"]).await;
}

async fn paused(manager: &Manager, engine: &Dockerd) {
    engine.signal("-STOP");
    let mut waiting = manager.command(&["exec", "there", "echo", "late"]);
    let waiting = tokio::task::spawn_blocking(move || waiting.output().unwrap());
    let begun = Instant::now();
    manager.done(&["exec", "here", "true"]).await;
    let inspect = ["inspect", "--format", "{{.Node.Name}}", "here"];
    assert_eq!(manager.done(&inspect).await, "node-11");
    manager.done(&["ps", "-a"]).await;
    manager.done(&["info"]).await;
    manager.done(&["images"]).await;
    let run = [
        "run",
        "--rm",
        "-e",
        "constraint:node==node-11",
        "busy:1",
        "true",
    ];
    manager.done(&run).await;
    assert!(begun.elapsed() < UNHURT, "a node that hangs slows others");
    engine.signal("-CONT");
    let output = waiting.await.unwrap();
    assert_eq!(output.stdout, b"late\n", "{output:?}");
    manager
        .until("a node that hung is healthy", || {
            status(manager, engine).0 == NodeStatus::Healthy
        })
        .await;
}

async fn another_id(manager: &Manager, engine: &mut Dockerd) {
    engine.kill();
    engine.forget_id();
    engine.start_again().await;
    manager
        .until("another engine is not taken for the one before", || {
            let (status, error) = status(manager, engine);
            status == NodeStatus::Pending && error.contains("shows up with another ID")
        })
        .await;
    let info = manager.done(&["info"]).await;
    assert!(info.contains("shows up with another ID"), "{info}");
    // Nothing is placed there, and the other node serves.
    manager.done(&["run", "--rm", "busy:1", "true"]).await;
    let said = manager
        .fails(&["run", "-e", "constraint:node==node-12", "busy:1", "true"])
        .await;
    assert!(said.contains("Unable to find a node"), "{said}");
}
