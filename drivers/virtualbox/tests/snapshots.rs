//! Snapshots, on a VirtualBox that starts nothing.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::net::{Ipv4Addr, TcpListener};

use rmachine_driver::{Driver, DriverError, MachineState};
use serde_json::json;

use world::{World, subject};

#[tokio::test]
async fn a_snapshot_says_whether_the_machine_runs_afterwards() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let work = subject.work();
    let mut driver = subject.configure();
    driver.create(&work).await.unwrap();
    let id = driver.config()["VMID"].as_str().unwrap().to_owned();
    let address = driver.address().await.unwrap();
    let take = async |driver: &mut dyn Driver, name: &str| {
        let taken = driver.take_snapshot(&name.parse().unwrap(), &work).await;
        taken.unwrap();
    };
    take(driver.as_mut(), "running").await;
    assert!(world.run(&["controlvm", &id, "pause"]).status.success());
    take(driver.as_mut(), "paused").await;
    driver.stop(&work).await.unwrap();
    take(driver.as_mut(), "stopped").await;

    use MachineState::{Running, Stopped};
    for (name, before, after) in [
        ("running", "poweroff", Running),
        ("paused", "poweroff", Running),
        ("stopped", "poweroff", Stopped),
        ("running", "running", Running),
        ("stopped", "running", Running),
        ("stopped", "paused", Running),
        ("stopped", "saved", Stopped),
    ] {
        world.change(|state| state["vms"][0]["state"] = json!(before));
        driver.restore_snapshot(name, &work).await.unwrap();
        let state = driver.state().await.unwrap();
        assert_eq!(state, after, "{name} on a machine that is {before}");
        let current = driver.snapshots().await.unwrap();
        let current: Vec<_> = current.iter().filter(|s| s.current).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0].name, name);
    }
    driver.start(&work).await.unwrap();
    assert_eq!(driver.address().await.unwrap(), address);
}

#[tokio::test]
async fn a_restored_machine_gets_another_port_where_its_old_one_is_taken() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let work = subject.work();
    let mut driver = subject.configure();
    driver.create(&work).await.unwrap();
    let port = |driver: &dyn Driver| driver.config()["SSHPort"].as_u64().unwrap();
    let then = port(driver.as_ref());
    let name = "clean".parse().unwrap();
    driver.take_snapshot(&name, &work).await.unwrap();
    driver.kill(&work).await.unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(then).unwrap())).unwrap();
    driver.restore_snapshot("clean", &work).await.unwrap();
    assert_ne!(port(driver.as_ref()), then);
    drop(taken);
    // The rule is the snapshot's again, and the record follows it.
    driver.restore_snapshot("clean", &work).await.unwrap();
    assert_eq!(port(driver.as_ref()), then);
}

#[tokio::test]
async fn a_snapshot_that_fails_says_why() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let work = subject.work();
    let mut driver = subject.configure();
    driver.create(&work).await.unwrap();
    world.fail(
        "snapshot",
        "VBoxManage: error: Could not write (VERR_DISK_FULL)\n",
    );
    let error = driver.snapshots().await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    world.wish(json!({}));
    driver.remove(&work).await.unwrap();
    let gone = driver.snapshots().await;
    assert!(matches!(gone, Err(DriverError::Gone { .. })), "{gone:?}");
}

/// VirtualBox goes on with what was asked of it when whoever asked is gone.
fn is_busy(world: &World, word: &str, takes: Option<&str>) {
    world.change(|state| {
        state["vms"][0]["state"] = json!("poweroff");
        state["vms"][0]["busy"] = json!({"word": word, "looks": 2, "takes": takes});
    });
    world.forget_calls();
}

#[tokio::test]
async fn what_an_interrupted_snapshot_still_does_to_the_disks_is_waited_for() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let work = subject.work();
    let mut driver = subject.configure();
    driver.create(&work).await.unwrap();
    for word in ["deletingsnapshot", "restoringsnapshot", "snapshotting"] {
        is_busy(&world, word, None);
        driver.kill(&work).await.unwrap();
        let calls = world.calls();
        assert!(
            calls.iter().all(|call| call.starts_with("showvminfo")),
            "{word}: {calls:?}"
        );
        is_busy(&world, word, None);
        driver.start(&work).await.unwrap();
        assert_eq!(driver.state().await.unwrap(), MachineState::Running);
    }
    let told = subject.told().texts();
    assert!(
        told.iter()
            .any(|text| text.contains("done with the VM's disks")),
        "{told:?}"
    );
    is_busy(&world, "deletingsnapshot", None);
    driver.remove(&work).await.unwrap();
    assert_eq!(world.count("vms"), 0);
}

#[tokio::test]
async fn a_snapshot_that_is_still_being_taken_is_removed_when_it_is_there() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let work = subject.work();
    let mut driver = subject.configure();
    driver.create(&work).await.unwrap();
    is_busy(&world, "snapshotting", Some("half"));
    driver.remove_snapshot("half", &work).await.unwrap();
    assert!(driver.snapshots().await.unwrap().is_empty());
}
