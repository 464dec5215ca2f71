//! The Docker API of a cluster of two real engines, with the docker program as its client.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
mod engine;
mod manager;
mod protocol;
mod session;

use engine::Dockerd;
use manager::Manager;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docker_client_finds_one_big_engine() {
    if let Some(missing) = engine::missing() {
        return rmachine_test_support::skip(missing);
    }
    let mut engines = Vec::new();
    for number in 1..=2 {
        let Some(engine) = Dockerd::start(number).await else {
            return;
        };
        engines.push(engine);
    }
    let manager = Manager::start(&engines).await;
    session::images(&manager).await;
    session::first_look(&manager).await;
    session::containers(&manager).await;
    session::streams(&manager).await;
    session::scheduling(&manager).await;
    session::networks(&manager).await;
    session::volumes(&manager).await;
    session::cleaning_up(&manager).await;
    session::a_node_that_hangs(&manager, &engines).await;
}
