//! `rmachine create` of a machine that is half-made, with other options than it was begun with.

use std::fs;
use std::os::unix::fs::symlink;

use rmachine_driver::{FlagValue, FlagValues, Resource};
use rmachine_machine::{Journal, Phase, Record};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::iso::server::iso;
use crate::snapshot::stand_in;
use crate::world::{Ran, World};

/// A machine whose VM was made, and nothing after it.
fn half_made(world: &World, begun: &[(&str, FlagValue)]) {
    let mut flags = FlagValues::default();
    for (name, value) in begun {
        flags.set(*name, value.clone());
    }
    let config = json!({"MachineName": "n1", "Memory": 2048});
    world.machine_of("virtualbox", "n1", &config, |record: &mut Record| {
        record.own.journal = Journal::default();
        record.own.owned = vec![Resource::new("vm", "11111111-2222-4333-8444-555555555555")];
        record.own.flags = Some(flags);
    });
}

#[test]
fn that_would_have_no_effect_is_refused() {
    let world = World::new();
    let folder = FlagValue::Text("/our data:data".to_owned());
    half_made(
        &world,
        &[
            ("virtualbox-memory", FlagValue::Number(2048)),
            ("virtualbox-share-folder", folder),
        ],
    );
    let before = fs::read(world.machine_dir("n1").join("config.json")).unwrap();
    let ran = world.run(["create", "--virtualbox-memory", "4096", "n1"]);
    assert_eq!(
        ran.failure(1),
        "error: the half-made machine n1 was begun with other options than --virtualbox-memory 4096\n\
         hint: rmachine create -d virtualbox --virtualbox-memory 2048 --virtualbox-share-folder '/our data:data' … n1 (goes on as it was begun)\n\
         hint: rmachine rm n1 (removes it; it can be made with other options then)\n"
    );
    let after = fs::read(world.machine_dir("n1").join("config.json")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn that_are_left_out_are_as_they_were() {
    let world = World::new();
    half_made(&world, &[("virtualbox-memory", FlagValue::Number(2048))]);
    let create = |words: &[&str]| {
        let mut command = world.command(["create", "n1"]);
        // Nothing can be made here; how far it comes is enough.
        command
            .args(words)
            .env("VBOX_MANAGE", "/nowhere/VBoxManage");
        Ran::of(&mut command)
    };
    let warning = "it goes on as it was begun, with --virtualbox-memory 2048";
    let ran = create(&[]);
    assert!(ran.err.contains(warning), "{ran:?}");
    assert!(!ran.err.contains("other options"), "{ran:?}");
    let ran = create(&["--virtualbox-memory", "2048"]);
    assert!(!ran.err.contains("as it was begun"), "{ran:?}");
    assert!(!ran.err.contains("other options"), "{ran:?}");
}

#[test]
fn hold_from_then_on_where_nothing_was_made_yet() {
    let world = World::new();
    half_made(&world, &[("virtualbox-memory", FlagValue::Number(2048))]);
    let guard = world
        .store
        .edit(&"n1".parse().unwrap(), std::time::Duration::ZERO);
    let checked = guard.unwrap().update(|record| {
        record.own.owned.clear();
        record
            .own
            .journal
            .done(Phase::Checked, OffsetDateTime::now_utc());
    });
    checked.unwrap();
    let directory = world.path().join("box");
    fs::create_dir(&directory).unwrap();
    symlink(stand_in(), directory.join("VBoxManage")).unwrap();
    fs::write(directory.join("wishes.json"), r#"{"kills_at": 1}"#).unwrap();
    fs::write(world.path().join("own.iso"), iso("OWN", 50)).unwrap();
    let mut command = world.command(["create", "--iso", "./own.iso", "n1"]);
    command.args(["--virtualbox-memory", "512"]);
    command.env("VBOX_MANAGE", directory.join("VBoxManage"));
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, -1, "it is killed: {ran:?}");
    let record = fs::read(world.machine_dir("n1").join("config.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["Driver"]["Memory"], 512);
    assert_eq!(record["Rmachine"]["Flags"]["virtualbox-memory"], 512);
}
