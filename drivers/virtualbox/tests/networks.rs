//! Host-only networks among whatever else VirtualBox and the computer have.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;

use rmachine_driver::ResourceJournal as _;
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
