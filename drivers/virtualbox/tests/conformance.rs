//! The driver contract, on a VirtualBox that starts nothing.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the set-up of a test may fail, and a count is worth showing"
)]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use futures_util::future::join_all;
use rmachine_driver::{Capabilities, FlagValue, ResourceJournal as _};
use rmachine_driver_conformance::{Subject, walk};
use rmachine_virtualbox::System;
use serde_json::json;

use world::{World, subject, text};

/// How many calls the reference `docker-machine create` takes, looking at the VM included.
const OF_DOCKER_MACHINE: usize = 39;

#[tokio::test]
async fn a_vm_lives_the_life_of_a_machine() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "life", []);
    let driver = walk(&subject).await;
    assert_eq!(
        driver.capabilities(),
        Capabilities {
            power: true,
            restart: true,
            provisioned: true,
            adopted: false,
            address_moves: false,
            snapshots: true,
        }
    );
    for kind in ["vms", "adapters", "servers"] {
        assert_eq!(world.count(kind), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_vm_lives_it_on_macos_too_where_its_address_may_move() {
    let world = World::new();
    world.wish(json!({"macos": true}));
    let kind = world.kind_on(System::MacOs);
    let subject = subject(&kind, "mac", []);
    let mut driver = subject.configure();
    driver.check(&subject.work()).await.unwrap();
    driver.create(&subject.work()).await.unwrap();
    assert!(driver.capabilities().address_moves);
    assert_eq!(world.state()["nets"][0]["lower"], "192.168.58.1");
    let mut again = subject.configure();
    again.create(&subject.work()).await.unwrap();
    assert_eq!(again.config(), driver.config());
    assert_eq!(world.count("nets"), 1);
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("nets")), (0, 0));
    assert!(subject.journal().owned().is_empty());
}

#[tokio::test]
async fn a_create_takes_at_most_half_the_calls_of_docker_machine() {
    let world = World::new();
    let home = world.path("homes");
    std::fs::create_dir_all(&home).unwrap();
    let shared = text(&format!("{}:homes", home.display()));
    let kind = world.kind();
    for (name, most) in [
        ("first", OF_DOCKER_MACHINE / 2),
        ("second", OF_DOCKER_MACHINE / 2),
    ] {
        let flags = [
            ("virtualbox-no-share", FlagValue::Switch(false)),
            ("virtualbox-share-folder", shared.clone()),
        ];
        let subject = subject(&kind, name, flags);
        let mut driver = subject.configure();
        world.forget_calls();
        let began = std::time::Instant::now();
        driver.check(&subject.work()).await.unwrap();
        driver.create(&subject.work()).await.unwrap();
        // What comes next asks for these.
        driver.url().await.unwrap();
        driver.ssh().await.unwrap();
        driver.address().await.unwrap();
        let calls = world.calls();
        println!("{} calls in {:?}", calls.len(), began.elapsed());
        assert!(calls.len() <= most, "{} calls: {calls:#?}", calls.len());
    }
}

#[tokio::test]
async fn machines_of_several_stores_share_a_network_and_no_address() {
    let world = World::new();
    let kind = world.kind();
    let subjects = ["a", "b", "c"].map(|name| subject(&kind, name, []));
    let made = subjects.iter().map(|subject| async {
        let mut driver = subject.configure();
        driver.create(&subject.work()).await.unwrap();
        driver
    });
    let mut drivers = join_all(made).await;
    assert_eq!((world.count("adapters"), world.count("servers")), (1, 1));
    let mut addresses = std::collections::BTreeSet::new();
    for driver in &drivers {
        addresses.insert(driver.address().await.unwrap().to_string());
    }
    assert_eq!(
        addresses.into_iter().collect::<Vec<_>>(),
        ["192.168.58.3", "192.168.58.4", "192.168.58.5"]
    );
    let mut machines: Vec<_> = drivers.iter_mut().zip(&subjects).collect();
    machines.sort_by_key(|(_, subject)| !made_the_adapter(subject));
    assert!(made_the_adapter(machines[0].1));
    for (driver, subject) in machines {
        driver.remove(&subject.work()).await.unwrap();
        assert!(subject.journal().owned().is_empty());
    }
    assert_eq!(world.state()["servers"].as_array().map(Vec::len), Some(1));
    // The store that made the adapter removed its machine while others were on it.
    assert_eq!(world.count("adapters"), 1);
}

/// Whether a machine's store has an adapter of its own.
fn made_the_adapter(subject: &Subject<'_>) -> bool {
    let store = subject.machine_dir().ancestors().nth(2).unwrap();
    store.join("cache/virtualbox/adapters.json").exists()
}
