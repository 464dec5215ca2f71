//! Host-only networks among whatever else VirtualBox and the computer have.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;

use rmachine_driver::ResourceJournal as _;
use rmachine_driver_conformance::Subject;
use rmachine_virtualbox::System;
use serde_json::json;

use world::{World, subject, text};

/// The head of Linux's table of routes.
const ROUTES: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

/// Has the computer reach networks by these routes: interface, destination, gateway and mask.
fn route(world: &World, routes: &[[&str; 4]]) {
    let line = |[interface, destination, gateway, mask]: &[&str; 4]| {
        format!("{interface}\t{destination}\t{gateway}\t0003\t0\t0\t0\t{mask}\t0\t0\t0\n")
    };
    let table: String = routes.iter().map(line).collect();
    fs::create_dir_all(world.path("root/proc/net")).unwrap();
    fs::write(
        world.path("root/proc/net/route"),
        ROUTES.to_owned() + &table,
    )
    .unwrap();
}

#[cfg(target_endian = "little")]
#[tokio::test]
async fn a_vpn_that_takes_all_traffic_is_in_nobodys_way() {
    let world = World::new();
    let halves = ["00000000", "00000080"];
    route(
        &world,
        &halves.map(|half| ["tun0", half, "0100080A", "00000080"]),
    );
    let kind = world.kind();
    for (name, asked) in [("any", None), ("certain", Some("192.168.61.1/24"))] {
        let flags = asked.map(|cidr| ("virtualbox-hostonly-cidr", text(cidr)));
        let subject = subject(&kind, name, flags);
        let mut driver = subject.configure();
        driver.check(&subject.work()).await.unwrap();
        driver.create(&subject.work()).await.unwrap();
        let cidr = asked.unwrap_or("192.168.58.1/24");
        assert_eq!(driver.config()["HostOnlyCIDR"], cidr);
    }
    // A network that it leads to is still another's.
    route(&world, &[["tun0", "003CA8C0", "0100080A", "00FFFFFF"]]);
    let flags = [("virtualbox-hostonly-cidr", text("192.168.60.1/24"))];
    let subject = subject(&kind, "taken", flags);
    let error = subject.configure().check(&subject.work()).await;
    let told = error.unwrap_err().to_string();
    assert!(told.contains("192.168.60.0/24"), "{told}");
}

#[tokio::test]
async fn an_address_is_given_back_on_an_adapter_whose_name_has_blanks() {
    let world = World::new();
    let name = "VirtualBox Host-Only Ethernet Adapter #2";
    assert!(world.run(&["hostonlyif", "create"]).status.success());
    world.change(|state| {
        state["adapters"][0] = json!({
            "name": name, "address": "192.168.58.1", "mask": "255.255.255.0", "up": true,
        });
        state["servers"] = json!([]);
    });
    let kind = world.kind_on(System::Windows);
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let kept = || {
        world.state()["servers"][0]["kept"]
            .as_object()
            .map(|kept| kept.len())
    };
    assert_eq!(kept(), Some(1));
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((kept(), world.count("adapters")), (Some(0), 1));
    assert!(subject.journal().owned().is_empty());
}

/// Has the machine's store remember that an adapter was begun where there was none.
fn cut_off(subject: &Subject<'_>) {
    let store = subject.machine_dir().ancestors().nth(2).unwrap();
    let shared = store.join("cache/virtualbox");
    fs::create_dir_all(&shared).unwrap();
    fs::write(shared.join("adapters.json"), r#"{"making_besides": []}"#).unwrap();
}

/// Another program's adapter: with this address and state, and a VM on it or none.
fn another_programs(world: &World, address: &str, up: bool, used: bool) {
    assert!(world.run(&["hostonlyif", "create"]).status.success());
    world.change(|state| {
        state["adapters"][0]["address"] = json!(address);
        state["adapters"][0]["up"] = json!(up);
    });
    if used {
        let elsewhere = world.path("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        let elsewhere = elsewhere.to_str().unwrap();
        let create = ["createvm", "--basefolder", elsewhere, "--name", "theirs"];
        assert!(world.run(&create).status.success());
        let attach = ["modifyvm", "theirs", "--hostonlyadapter2", "vboxnet0"];
        assert!(world.run(&attach).status.success());
    }
}

#[tokio::test]
async fn after_an_interruption_what_other_programs_have_stays_theirs() {
    for (address, up, used) in [
        ("192.168.59.1", true, true),
        ("192.168.59.1", true, false),
        ("192.168.59.1", false, false),
        ("192.168.56.1", false, true),
    ] {
        let world = World::new();
        let kind = world.kind();
        another_programs(&world, address, up, used);
        let theirs = world.state()["adapters"][0].clone();
        let of_theirs = || {
            world.state()["adapters"]
                .as_array()
                .unwrap()
                .contains(&theirs)
        };

        let made = subject(&kind, "made", []);
        cut_off(&made);
        let mut driver = made.configure();
        driver.check(&made.work()).await.unwrap();
        driver.create(&made.work()).await.unwrap();
        assert!(of_theirs() && world.count("adapters") == 2, "{theirs}");
        cut_off(&made);
        driver.remove(&made.work()).await.unwrap();
        assert!(of_theirs(), "{theirs}");

        let flags = [("virtualbox-hostonly-cidr", text(&format!("{address}/24")))];
        let on_it = subject(&kind, "on-it", flags);
        cut_off(&on_it);
        let mut driver = on_it.configure();
        driver.create(&on_it.work()).await.unwrap();
        driver.remove(&on_it.work()).await.unwrap();
        assert_eq!(world.state()["adapters"][0]["name"], theirs["name"]);
    }
}

#[tokio::test]
async fn an_adapter_that_was_begun_is_found_again_whatever_address_it_got_since() {
    let world = World::new();
    let refused = |begins| json!({"begins": begins, "exit": 1, "err": "VBoxManage: error: no"});
    let failures = ["hostonlyif ipconfig", "hostonlyif remove"].map(refused);
    world.wish(json!({"failures": failures}));
    let kind = world.kind();
    let flags = [("virtualbox-hostonly-cidr", text("192.168.61.1/24"))];
    let subject = subject(&kind, "n1", flags);
    cut_off(&subject);
    assert!(world.run(&["hostonlyif", "create"]).status.success());
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap_err();
    // As if it had been cut off after that.
    world.change(|state| {
        state["adapters"][0]["address"] = json!("192.168.61.1");
        state["adapters"][0]["up"] = json!(true);
    });
    world.wish(json!({}));
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!(world.count("adapters"), 0);
}

#[tokio::test]
async fn an_adapter_that_has_the_name_of_ours_is_not_ours() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    world.change(|state| state["adapters"] = json!([]));
    another_programs(&world, "192.168.60.1", true, false);
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!(world.state()["adapters"][0]["address"], "192.168.60.1");
    assert!(subject.journal().owned().is_empty());
}

/// Has the computer reach 192.168.58.0/24 by another interface.
#[cfg(target_endian = "little")]
fn take_the_first(world: &World) {
    route(world, &[["eth7", "003AA8C0", "00000000", "00FFFFFF"]]);
}

#[cfg(target_endian = "little")]
#[tokio::test]
async fn on_macos_too_a_network_is_chosen_that_nobody_has() {
    let world = World::new();
    world.wish(json!({"macos": true}));
    take_the_first(&world);
    let theirs = json!({
        "name": "theirs", "mask": "255.255.255.128",
        "lower": "192.168.60.1", "upper": "192.168.60.126",
    });
    world.change(|state| *state = json!({"nets": [theirs]}));
    let kind = world.kind_on(System::MacOs);
    let free = subject(&kind, "free", []);
    let mut driver = free.configure();
    driver.check(&free.work()).await.unwrap();
    driver.create(&free.work()).await.unwrap();
    assert_eq!(driver.config()["HostOnlyCIDR"], "192.168.61.1/24");
    assert_eq!(world.state()["nets"][1]["name"], "rmachine-192.168.61.0");

    for (asked, why) in [
        ("192.168.58.1/24", "another network 192.168.58.0/24"),
        ("192.168.60.1/24", "the host-only network theirs"),
    ] {
        let flags = [("virtualbox-hostonly-cidr", text(asked))];
        let taken = subject(&kind, "taken", flags);
        let error = taken.configure().check(&taken.work()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    driver.remove(&free.work()).await.unwrap();
    assert_eq!(world.state()["nets"], json!([theirs]));
}

#[tokio::test]
async fn a_network_of_macos_goes_with_the_last_machine_if_rmachine_made_it() {
    let world = World::new();
    world.wish(json!({"macos": true}));
    let kind = world.kind_on(System::MacOs);
    let subjects = ["a", "b"].map(|name| subject(&kind, name, []));
    let [mut a, mut b] = subjects.each_ref().map(Subject::configure);
    a.create(&subjects[0].work()).await.unwrap();
    b.create(&subjects[1].work()).await.unwrap();
    assert_eq!(world.count("nets"), 1);
    a.remove(&subjects[0].work()).await.unwrap();
    assert_eq!(world.count("nets"), 1);
    b.remove(&subjects[1].work()).await.unwrap();
    assert_eq!(world.count("nets"), 0);

    let theirs = json!([{
        "name": "theirs", "mask": "255.255.255.0",
        "lower": "192.168.58.100", "upper": "192.168.58.254",
    }]);
    world.change(|state| state["nets"] = theirs.clone());
    let subject = subject(&kind, "c", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(
        world.state()["vms"][0]["settings"]["host-only-net2"],
        "theirs"
    );
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!(world.state()["nets"], theirs);
    assert!(subject.journal().owned().is_empty());
}

#[tokio::test]
async fn a_network_of_macos_that_was_not_made_after_all_is_forgotten() {
    let world = World::new();
    let failure = json!({"begins": "hostonlynet add", "exit": 1, "err": "VBoxManage: error: no"});
    world.wish(json!({"macos": true, "failures": [failure]}));
    let kind = world.kind_on(System::MacOs);
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap_err();
    assert_eq!(subject.journal().owned().len(), 1);
    driver.remove(&subject.work()).await.unwrap();
    assert!(subject.journal().owned().is_empty());
}
