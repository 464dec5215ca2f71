//! What goes wrong around a manager: engines that die, hang and change, clients that vanish, crawl
//! and send nonsense, a primary that is killed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../api/engine.rs"]
mod engine;
#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../api/manager.rs"]
mod manager;
#[path = "../../discovery/tests/servers/mod.rs"]
mod servers;

mod clients;
mod engines;
mod nonsense;
mod primary;
mod process;
mod wire;

use engine::Dockerd;
use manager::Manager;

/// Two real engines; `None`, with the reason printed, where none can run. Their names are the
/// machine's, so each test has numbers of its own.
async fn engines(first: usize) -> Option<Vec<Dockerd>> {
    if let Some(missing) = engine::missing() {
        rmachine_test_support::skip(missing);
        return None;
    }
    let mut engines = Vec::new();
    for number in first..first + 2 {
        engines.push(Dockerd::start(number).await?);
    }
    Some(engines)
}

/// Gives every node an image to run.
async fn with_image(manager: &Manager) {
    let dir = tempfile::tempdir().unwrap();
    engine::image(dir.path());
    let tar = dir.path().join("image.tar");
    manager
        .done(&["import", tar.to_str().unwrap(), "busy:1"])
        .await;
}
