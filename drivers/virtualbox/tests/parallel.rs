//! Machines of one store that are made and removed at the same time.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::collections::BTreeSet;
use std::fs;

use futures_util::future::join_all;
use rmachine_driver::{
    Driver, DriverContext, DriverKind as _, FirstContact, FlagValue, FlagValues, NoSecrets,
    ResourceJournal as _, Silent, Work,
};
use rmachine_driver_conformance::Remembered;
use rmachine_virtualbox::VirtualBoxKind;

use world::World;

/// How many machines: a cluster.
const MACHINES: usize = 6;

fn machine(world: &World, kind: &VirtualBoxKind, name: &str) -> Box<dyn Driver> {
    let context = DriverContext {
        name: name.parse().unwrap(),
        machine_dir: world.path("store/machines").join(name),
        store_dir: world.path("store"),
        first_contact: FirstContact::Pin,
    };
    fs::create_dir_all(&context.machine_dir).unwrap();
    let mut flags = FlagValues::defaults(kind.flags());
    flags.set("virtualbox-no-share", FlagValue::Switch(true));
    kind.configure(context, &flags).unwrap()
}

fn work(journal: &Remembered) -> Work<'_> {
    Work {
        report: &Silent,
        resources: journal,
        secrets: &NoSecrets,
    }
}

#[tokio::test]
async fn machines_made_at_once_share_an_adapter_and_nothing_else() {
    let world = World::new();
    let kind = world.kind();
    let journals: Vec<Remembered> = (0..MACHINES).map(|_| Remembered::default()).collect();
    let made = journals.iter().enumerate().map(async |(number, journal)| {
        let mut driver = machine(&world, &kind, &format!("n{number}"));
        driver.create(&work(journal)).await.unwrap();
        driver
    });
    let mut drivers = join_all(made).await;

    assert_eq!((world.count("adapters"), world.count("servers")), (1, 1));
    assert_eq!(world.count("vms"), MACHINES);
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for driver in &drivers {
        addresses.insert(driver.address().await.unwrap().to_string());
        ports.insert(driver.ssh().await.unwrap().unwrap().port);
    }
    assert_eq!(addresses.len(), MACHINES, "{addresses:?}");
    assert_eq!(ports.len(), MACHINES, "{ports:?}");

    let removed = drivers
        .iter_mut()
        .zip(&journals)
        .map(async |(driver, journal)| {
            driver.remove(&work(journal)).await.unwrap();
            assert!(journal.owned().is_empty());
        });
    join_all(removed).await;
    // The last one took the network along.
    for kind in ["vms", "adapters", "servers"] {
        assert_eq!(world.count(kind), 0, "{kind}");
    }
}

#[tokio::test]
async fn the_adapter_stays_while_a_machine_is_on_it() {
    let world = World::new();
    let kind = world.kind();
    let (one, two) = (Remembered::default(), Remembered::default());
    let mut first = machine(&world, &kind, "n1");
    first.create(&work(&one)).await.unwrap();
    let mut second = machine(&world, &kind, "n2");
    second.create(&work(&two)).await.unwrap();
    first.remove(&work(&one)).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (1, 1));
    second.stop(&work(&two)).await.unwrap();
    second.start(&work(&two)).await.unwrap();
    assert_eq!(second.address().await.unwrap().to_string(), "192.168.58.4");
    second.remove(&work(&two)).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (0, 0));
}
