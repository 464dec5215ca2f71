//! A `create` that is killed at any call of VBoxManage, before the call is done or after it: the
//! next `create` finishes the machine, and `remove` leaves nothing.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rmachine_driver::{
    Driver, DriverContext, DriverError, DriverKind as _, FirstContact, FlagValue, FlagValues,
    MachineState, NoSecrets, Resource, ResourceJournal, Silent, Work,
};
use rmachine_virtualbox::VirtualBoxKind;
use serde_json::json;

use world::World;

/// Where the process that is killed finds its world.
const WORLD: &str = "RMACHINE_TEST_WORLD";

/// A journal on disk, as the program has one.
struct Journal {
    path: PathBuf,
    turn: Mutex<()>,
}

impl Journal {
    fn of(world: &World) -> Self {
        Self {
            path: world.path("journal.json"),
            turn: Mutex::new(()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Resource>)) {
        let _turn = self.turn.lock().unwrap();
        let mut owned = self.owned();
        change(&mut owned);
        let beside = self.path.with_extension("new");
        fs::write(&beside, serde_json::to_vec(&owned).unwrap()).unwrap();
        fs::rename(beside, &self.path).unwrap();
    }
}

impl ResourceJournal for Journal {
    fn about_to_make(&self, resource: &Resource) -> Result<(), DriverError> {
        self.change(|owned| {
            if !owned.contains(resource) {
                owned.push(resource.clone());
            }
        });
        Ok(())
    }

    fn removed(&self, resource: &Resource) -> Result<(), DriverError> {
        self.change(|owned| owned.retain(|other| other != resource));
        Ok(())
    }

    fn owned(&self) -> Vec<Resource> {
        let text = fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// The machine as its record has it when nothing was saved but what the flags gave.
fn machine(world: &World, kind: &VirtualBoxKind) -> Box<dyn Driver> {
    let context = DriverContext {
        name: "n1".parse().unwrap(),
        machine_dir: world.path("store/machines/n1"),
        store_dir: world.path("store"),
        first_contact: FirstContact::Pin,
    };
    fs::create_dir_all(&context.machine_dir).unwrap();
    let mut flags = FlagValues::defaults(kind.flags());
    flags.set("virtualbox-no-share", FlagValue::Switch(true));
    let record = kind.configure(context.clone(), &flags).unwrap().config();
    kind.load(context, record).unwrap()
}

async fn with<T>(journal: &Journal, done: impl AsyncFnOnce(&Work<'_>) -> T) -> T {
    let work = Work {
        report: &Silent,
        resources: journal,
        secrets: &NoSecrets,
    };
    done(&work).await
}

/// What the killed process does; in a run of all tests it has no world, and does nothing.
#[tokio::test]
async fn child() {
    let Some(directory) = std::env::var_os(WORLD) else {
        return;
    };
    let world = World::at(Path::new(&directory));
    let kind = world.kind();
    let mut driver = machine(&world, &kind);
    let journal = Journal::of(&world);
    let made = with(&journal, async |work| driver.create(work).await).await;
    made.unwrap();
}

/// Runs `create` in a process of its own; whether it came to its end.
fn created(world: &World) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child"]).env(WORLD, world.path(""));
    child.stdout(Stdio::null()).stderr(Stdio::null());
    child.status().unwrap().success()
}

fn nothing_is_left(world: &World, cut: &str) {
    for kind in ["vms", "adapters", "servers"] {
        assert_eq!(world.count(kind), 0, "{kind} after {cut}");
    }
    assert!(Journal::of(world).owned().is_empty(), "{cut}");
}

/// Kills a `create` at one call; `None` where it had no such call.
fn killed(at: usize, after: bool) -> Option<World> {
    let world = World::new();
    world.wish(json!({"kills_at": at, "kills_after": after}));
    let done = created(&world);
    world.wish(json!({}));
    (!done).then_some(world)
}

#[tokio::test]
async fn a_create_that_is_killed_anywhere_is_finished_by_the_next_or_removed() {
    let mut calls = 0;
    for at in 1.. {
        let mut any = false;
        for after in [false, true] {
            let cut = format!("call {at}, done: {after}");
            if let Some(world) = killed(at, after) {
                any = true;
                finishes(&world, &cut).await;
            }
            if let Some(world) = killed(at, after) {
                let kind = world.kind();
                let mut driver = machine(&world, &kind);
                let journal = Journal::of(&world);
                let gone = with(&journal, async |work| driver.remove(work).await).await;
                gone.unwrap_or_else(|error| panic!("{cut}: {error:?}"));
                nothing_is_left(&world, &cut);
            }
        }
        if !any {
            break;
        }
        calls = at;
    }
    assert!(calls > 8, "only {calls} calls were cut off");
}

async fn finishes(world: &World, cut: &str) {
    assert!(created(world), "create after {cut}");
    for kind in ["vms", "adapters", "servers"] {
        assert_eq!(world.count(kind), 1, "{kind} after {cut}");
    }
    let state = world.state();
    let kept = state["servers"][0]["kept"].as_object().unwrap();
    assert_eq!(kept.len(), 1, "{cut}: {kept:?}");
    assert_eq!(state["vms"][0]["state"], "running", "{cut}");
    assert_eq!(
        state["vms"][0]["rules"].as_object().unwrap().len(),
        1,
        "{cut}"
    );

    let kind = world.kind();
    let mut driver = machine(world, &kind);
    let journal = Journal::of(world);
    with(&journal, async |work| {
        driver.check(work).await.unwrap();
        driver.create(work).await.unwrap();
        assert_eq!(driver.state().await.unwrap(), MachineState::Running);
        assert_eq!(driver.address().await.unwrap().to_string(), "192.168.58.3");
        driver.remove(work).await.unwrap();
    })
    .await;
    nothing_is_left(world, cut);
}
