//! Dry runs, and what they leave behind: nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;
use rmachine_driver::Resource;
use rmachine_machine::{Phase, SwarmMode};
use serde_json::{Value, json};

use crate::snapshot::stand_in;
use crate::sshd::{Lab, user};
use crate::world::{Ran, World};

/// Everything below a directory, itself included: name, mode, time of the last change, content.
type Tree = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

fn tree(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_encoded_bytes()
                .to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        let entry = (
            metadata.mode(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            content,
        );
        tree.insert(path, entry);
    }
    tree
}

/// Runs a command and compares the home directory, with the store in it, before and after.
fn changes_nothing(world: &World, words: &[&str]) -> Ran {
    command_changes_nothing(world, world.command(words))
}

fn command_changes_nothing(world: &World, mut command: Command) -> Ran {
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let before = tree(world.path());
    let ran = Ran::of(&mut command);
    let after = tree(world.path());
    for (path, entry) in &after {
        assert_eq!(before.get(path), Some(entry), "{words:?} changed {path:?}");
    }
    assert_eq!(before.len(), after.len(), "{words:?} removed something");
    ran
}

/// A machine on this sshd that is ready, or was cut off before this phase.
fn machine(world: &World, host: &Lab, name: &str, cut_off_at: Option<Phase>) {
    let key = world.machine_dir(name).join("id_ed25519");
    let config = json!({
        "IPAddress": "127.0.0.1", "MachineName": name, "SSHUser": user(),
        "SSHPort": host.port(), "SSHKeyPath": key, "EnginePort": 2376,
    });
    world.machine_of("generic", name, &config, |record| {
        if let Some(phase) = cut_off_at {
            record
                .own
                .journal
                .begin(phase, time::OffsetDateTime::now_utc());
        }
    });
    fs::copy(host.path("id_ed25519"), key).unwrap();
    let known_hosts = format!("{name} {}", host.public_key("host_ed25519"));
    fs::write(world.machine_dir(name).join("known_hosts"), known_hosts).unwrap();
}

fn create<'a>(name: &'a str, port: &'a str, key: &'a str, login: &'a str) -> Vec<&'a str> {
    vec![
        "create",
        "--dry-run",
        "-d",
        "generic",
        "--generic-ip-address",
        "127.0.0.1",
        "--generic-ssh-port",
        port,
        "--generic-ssh-key",
        key,
        "--generic-ssh-user",
        login,
        "--engine-install",
        "distro",
        name,
    ]
}

/// The plan for a host can be made only as root, which the tests may not be; that nothing is
/// written holds in any case.
fn is_plan(ran: &Ran) {
    if Uid::current().is_root() {
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_ne!(ran.out, "", "{ran:?}");
    }
}

#[test]
fn create_on_an_empty_store_writes_nothing() {
    let Some(host) = Lab::start("") else { return };
    let world = World::new();
    let (port, login) = (host.port().to_string(), user());
    let key = host.path("id_ed25519").display().to_string();
    let words = create("n1", &port, &key, &login);
    is_plan(&changes_nothing(&world, &words));
    is_plan(&changes_nothing(
        &world,
        &[&["--native-ssh"], &words[..]].concat(),
    ));
    let manager = ["--swarm", "--swarm-master"];
    is_plan(&changes_nothing(&world, &[&words[..], &manager].concat()));
    let manager = ["--swarm-mode", "--swarm-master"];
    is_plan(&changes_nothing(&world, &[&words[..], &manager].concat()));
    assert!(!world.root().exists());
}

#[test]
fn create_of_hosts_that_are_made_first_writes_nothing() {
    let world = World::new();
    let url = [
        "create",
        "--dry-run",
        "-d",
        "none",
        "--url",
        "tcp://10.0.0.5:2376",
        "n1",
    ];
    assert_eq!(changes_nothing(&world, &url).code, 0);
    // With an engine or without: what the check finds is not the question.
    changes_nothing(&world, &["create", "--dry-run", "-d", "docker", "n1"]);
    let nowhere = ["--docker-host", "unix:///nowhere/docker.sock"];
    changes_nothing(
        &world,
        &[&["create", "--dry-run", "-d", "docker", "n1"][..], &nowhere].concat(),
    );
    // What the stand-in for VirtualBox keeps beside itself is not rmachine's.
    let virtualbox = tempfile::tempdir().unwrap();
    let program = virtualbox.path().join("VBoxManage");
    symlink(stand_in(), &program).unwrap();
    let mut command = world.command(["create", "--dry-run", "-d", "virtualbox", "n1", "n2"]);
    command.env("VBOX_MANAGE", program);
    command_changes_nothing(&world, command);
    if let Ok(engine) = std::env::var("RMACHINE_LAB_ENGINE") {
        let words = [
            "create",
            "--dry-run",
            "-d",
            "docker",
            "--docker-host",
            &engine,
            "n1",
        ];
        let ran = changes_nothing(&world, &words);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

#[test]
fn dry_runs_on_a_populated_store_write_nothing() {
    let Some(host) = Lab::start("") else { return };
    let world = World::new();
    machine(&world, &host, "ready", None);
    machine(&world, &host, "begun", Some(Phase::Provisioned));
    machine(&world, &host, "unpinned", None);
    fs::remove_file(world.machine_dir("unpinned").join("known_hosts")).unwrap();
    // Made by docker-machine: nothing is pinned yet.
    machine(&world, &host, "imported", None);
    let dir = world.machine_dir("imported");
    fs::remove_file(dir.join("known_hosts")).unwrap();
    let record = dir.join("config.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("Rmachine");
    // An older version, which the next change would bring to the current one.
    json["ConfigVersion"] = json!(2);
    fs::write(&record, json.to_string()).unwrap();
    // What a writer left that was killed.
    fs::write(world.machine_dir("ready").join(".rmachine-left"), "").unwrap();

    for name in ["ready", "begun", "imported"] {
        is_plan(&changes_nothing(&world, &["provision", "--dry-run", name]));
    }
    assert_ne!(
        changes_nothing(&world, &["provision", "--dry-run", "unpinned"]).code,
        0
    );
    let (port, login) = (host.port().to_string(), user());
    let key = host.path("id_ed25519").display().to_string();
    is_plan(&changes_nothing(
        &world,
        &create("begun", &port, &key, &login),
    ));
    is_plan(&changes_nothing(
        &world,
        &create("new", &port, &key, &login),
    ));
    assert_ne!(
        changes_nothing(&world, &create("ready", &port, &key, &login)).code,
        0
    );
}

#[test]
fn dry_run_of_a_manager_and_a_half_made_machine_writes_nothing() {
    let Some(host) = Lab::start("") else { return };
    let world = World::new();
    machine(&world, &host, "manager", None);
    let name = "manager".parse().unwrap();
    let guard = world.store.edit(&name, std::time::Duration::ZERO).unwrap();
    guard
        .update(|record| {
            record.own.swarm_mode = Some(SwarmMode {
                manager: true,
                join: None,
                address: String::new(),
            });
            record
                .own
                .owned
                .push(Resource::new("key", "of another time"));
        })
        .unwrap();
    drop(guard);
    is_plan(&changes_nothing(
        &world,
        &["provision", "--dry-run", "manager"],
    ));
}

#[test]
fn plan_and_gc_dry_run_write_nothing() {
    let world = World::new();
    let file = world.path().join("cluster.yml");
    let text = "name: lab\nmachines:\n  n:\n    driver: none\n    url: tcp://10.0.0.5:2376\n";
    fs::write(&file, text).unwrap();
    changes_nothing(&world, &["plan"]);
    changes_nothing(&world, &["gc", "--dry-run"]);
    assert!(!world.root().exists());

    world.machine("n1", "tcp://10.0.0.5:2376", |_| {});
    let journal = json!({
        "Version": 1, "File": "/lab.yml", "Digest": "", "Orchestrator": "none",
        "Lease": {"Until": "2020-01-01T00:00:00Z"},
        "Machines": {"n1": {"Group": "g", "Flags": {}, "Since": null}},
    });
    let path = world
        .store
        .layout()
        .cluster_journal(&"lab".parse().unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, journal.to_string()).unwrap();
    let ran = changes_nothing(&world, &["gc", "--dry-run"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "lab\n"), "{ran:?}");
    changes_nothing(&world, &["plan"]);
}
