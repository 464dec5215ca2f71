//! What others change behind the driver's back, and what other versions cannot do.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use rmachine_driver::{Driver, DriverError, FlagValue, MachineState, ResourceJournal as _};
use serde_json::json;

use world::{World, subject, text};

#[tokio::test]
async fn a_port_that_is_taken_is_noticed_and_another_one_found() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let port = |driver: &dyn Driver| driver.config()["SSHPort"].as_u64().unwrap();
    let first = port(driver.as_ref());
    driver.stop(&subject.work()).await.unwrap();

    // Before the start: the rule is changed.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(first).unwrap())).unwrap();
    driver.start(&subject.work()).await.unwrap();
    let second = port(driver.as_ref());
    assert_ne!(second, first);
    assert_eq!(
        driver.ssh().await.unwrap().unwrap().port.map(u64::from),
        Some(second)
    );
    driver.kill(&subject.work()).await.unwrap();
    drop(taken);

    // A saved machine has its rule, and it shows only in the log that it is of no use.
    driver.start(&subject.work()).await.unwrap();
    let id = driver.config()["VMID"].as_str().unwrap().to_owned();
    assert!(world.run(&["controlvm", &id, "savestate"]).status.success());
    assert_eq!(driver.state().await.unwrap(), MachineState::Saved);
    let second = port(driver.as_ref());
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(second).unwrap())).unwrap();
    driver.start(&subject.work()).await.unwrap();
    assert_ne!(port(driver.as_ref()), second);
    let told = subject.told().texts();
    assert!(
        told.iter().any(|text| text.contains("is taken")),
        "{told:?}"
    );
}

#[tokio::test]
async fn paused_and_saved_machines_are_resumed_stopped_and_killed() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let id = driver.config()["VMID"].as_str().unwrap().to_owned();
    let address = driver.address().await.unwrap();
    for held in ["pause", "savestate"] {
        for turn in ["start", "stop", "kill", "restart"] {
            driver.start(&subject.work()).await.unwrap();
            assert!(world.run(&["controlvm", &id, held]).status.success());
            let (done, after) = match turn {
                "start" => (driver.start(&subject.work()).await, MachineState::Running),
                "stop" => (driver.stop(&subject.work()).await, MachineState::Stopped),
                "kill" => (driver.kill(&subject.work()).await, MachineState::Stopped),
                _ => (driver.restart(&subject.work()).await, MachineState::Running),
            };
            done.unwrap();
            assert_eq!(driver.state().await.unwrap(), after, "{held} {turn}");
        }
    }
    assert_eq!(driver.address().await.unwrap(), address);
}

#[tokio::test]
async fn a_machine_comes_back_after_its_adapter_went() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let address = driver.address().await.unwrap();
    driver.stop(&subject.work()).await.unwrap();
    world.change(|state| {
        state["adapters"] = json!([]);
        state["servers"] = json!([]);
    });
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(driver.address().await.unwrap(), address);
    assert_eq!((world.count("adapters"), world.count("servers")), (1, 1));
}

#[tokio::test]
async fn an_adapter_that_is_made_anew_is_served_as_the_machine_wants_it() {
    let dhcp = ("virtualbox-hostonly-address", text("dhcp"));
    let none = ("virtualbox-hostonly-no-dhcp", FlagValue::Switch(true));
    for (flag, address) in [(dhcp, Some("192.168.58.128")), (none, None)] {
        let world = World::new();
        let kind = world.kind();
        let subject = subject(&kind, "n1", [flag]);
        let mut driver = subject.configure();
        driver.create(&subject.work()).await.unwrap();
        driver.stop(&subject.work()).await.unwrap();
        world.change(|state| {
            state["adapters"] = json!([]);
            state["servers"] = json!([]);
        });
        driver.start(&subject.work()).await.unwrap();
        assert_eq!((world.count("adapters"), world.count("servers")), (1, 1));
        let enabled = world.state()["servers"][0]["enabled"].as_bool();
        assert_eq!(enabled, Some(address.is_some()));
        if let Some(address) = address {
            assert_eq!(driver.address().await.unwrap().to_string(), address);
        }
    }
}

#[tokio::test]
async fn a_saved_machine_finds_its_address_kept_after_its_adapter_went() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let id = driver.config()["VMID"].as_str().unwrap().to_owned();
    assert!(world.run(&["controlvm", &id, "savestate"]).status.success());
    let kept = world.state()["servers"][0]["kept"].clone();
    world.change(|state| {
        state["adapters"] = json!([]);
        state["servers"] = json!([]);
    });
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(world.state()["servers"][0]["kept"], kept);
}

#[tokio::test]
async fn an_address_that_another_machine_took_is_lost_and_said_so() {
    let world = World::new();
    let kind = world.kind();
    let [first, second] = ["first", "second"].map(|name| subject(&kind, name, []));
    let mut driver = first.configure();
    driver.create(&first.work()).await.unwrap();
    assert_eq!(driver.address().await.unwrap().to_string(), "192.168.58.3");
    driver.stop(&first.work()).await.unwrap();
    world.change(|state| state["servers"] = json!([]));
    let mut other = second.configure();
    other.create(&second.work()).await.unwrap();
    assert_eq!(other.address().await.unwrap().to_string(), "192.168.58.3");

    driver.start(&first.work()).await.unwrap();
    assert_eq!(driver.address().await.unwrap().to_string(), "192.168.58.4");
    assert_eq!(driver.config()["IPAddress"], "192.168.58.4");
    let lost = "the address 192.168.58.3 was lost: the machine's is 192.168.58.4 from now on";
    assert!(first.told().texts().iter().any(|text| text == lost));
}

#[tokio::test]
async fn a_machine_gets_its_iso_again() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    driver.stop(&subject.work()).await.unwrap();
    let iso = subject.machine_dir().join("boot2docker.iso");
    fs::remove_file(&iso).unwrap();
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(fs::read(&iso).unwrap(), b"an image");
    let told = subject.told().texts();
    assert!(
        told.iter().any(|text| text.contains("ISO image is gone")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_vm_that_went_behind_our_back_is_said_so_and_removed_in_peace() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    world.change(|state| state["vms"] = json!([]));
    let lost = driver.start(&subject.work()).await;
    assert!(matches!(lost, Err(DriverError::Gone { .. })), "{lost:?}");
    driver.remove(&subject.work()).await.unwrap();
    assert!(subject.journal().owned().is_empty());
    assert_eq!(world.count("adapters"), 0);
}

#[tokio::test]
async fn a_vm_whose_files_went_is_removed() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    driver.kill(&subject.work()).await.unwrap();
    fs::remove_dir_all(subject.machine_dir().join("n1")).unwrap();
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (0, 0));
}

#[tokio::test]
async fn what_others_attached_to_the_adapter_keeps_it() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let made = world.path("others");
    fs::create_dir_all(&made).unwrap();
    let theirs = [
        "createvm",
        "--basefolder",
        made.to_str().unwrap(),
        "--name",
        "theirs",
    ];
    assert!(world.run(&theirs).status.success());
    let attach = [
        "modifyvm",
        "theirs",
        "--nic2",
        "hostonly",
        "--hostonlyadapter2",
        "vboxnet0",
    ];
    assert!(world.run(&attach).status.success());
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (1, 1));
    let kept = &world.state()["servers"][0]["kept"];
    assert_eq!(kept, &json!({}), "the address was given back");
}

#[tokio::test]
async fn an_old_virtualbox_keeps_no_address_and_says_so() {
    let world = World::new();
    world.wish(json!({"old": true, "version": "6.0.24r139119"}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert!(driver.capabilities().address_moves);
    // The first of those that the server gives to anybody, as the machine told it.
    assert_eq!(
        driver.address().await.unwrap().to_string(),
        "192.168.58.128"
    );
    let told = subject.told().texts();
    assert!(
        told.iter()
            .any(|text| text.contains("cannot keep an address")),
        "{told:?}"
    );
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (0, 0));
}
