//! Addresses that only the machine knows.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use rmachine_driver::{Driver, DriverError, FlagValue};
use rmachine_virtualbox::System;
use serde_json::json;

use world::{World, subject, text};

fn dhcp() -> [(&'static str, FlagValue); 1] {
    [("virtualbox-hostonly-address", text("dhcp"))]
}

async fn address(driver: &dyn Driver) -> String {
    driver.address().await.unwrap().to_string()
}

/// How many connections were made to machines.
fn connections(world: &World) -> usize {
    let calls = world.calls();
    calls.iter().filter(|it| it.starts_with("ssh -M ")).count()
}

#[tokio::test]
async fn a_machine_without_guest_additions_is_asked_itself() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", dhcp());
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(address(driver.as_ref()).await, "192.168.58.128");
    assert_eq!(
        driver.url().await.unwrap(),
        "tcp://192.168.58.128:2376",
        "by all who ask"
    );
    assert_eq!(connections(&world), 1, "what was told is remembered");
    let closed = |call: &String| call.starts_with("ssh ") && call.contains("-O exit");
    assert!(world.calls().iter().any(closed), "{:#?}", world.calls());

    // Another start, another address.
    driver.stop(&subject.work()).await.unwrap();
    world.change(|state| state["servers"][0]["lower"] = json!("192.168.58.140"));
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(address(driver.as_ref()).await, "192.168.58.140");
    driver.stop(&subject.work()).await.unwrap();
    let off = driver.address().await;
    assert!(matches!(off, Err(DriverError::NotRunning)), "{off:?}");
}

#[tokio::test]
async fn guest_additions_are_believed_about_the_network_of_the_machine() {
    let world = World::new();
    world.wish(json!({"additions": true}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", dhcp());
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(address(driver.as_ref()).await, "192.168.58.128");
    assert_eq!(connections(&world), 0);

    // While the second card has none, they take the network of containers for the second one.
    world.change(|state| {
        state["vms"][0]["properties"]["/VirtualBox/GuestInfo/Net/1/V4/IP"] = json!("172.17.0.1");
    });
    let later = subject.load(driver.config());
    assert_eq!(address(later.as_ref()).await, "192.168.58.128");
    assert_eq!(connections(&world), 1);
}

#[tokio::test]
async fn a_machine_on_a_network_of_macos_is_asked_itself() {
    let world = World::new();
    world.wish(json!({"macos": true}));
    let kind = world.kind_on(System::MacOs);
    let subject = subject(&kind, "mac", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(address(driver.as_ref()).await, "192.168.58.2");
}

#[tokio::test]
async fn a_machine_that_cannot_be_asked_is_said_so_at_once() {
    let world = World::new();
    world.wish(json!({"locked_out": true}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", dhcp());
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let error = driver.address().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot inspect: the machine's guest additions tell no address, and it cannot be asked"
    );
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("refuses to log in docker"), "{why}");
}
