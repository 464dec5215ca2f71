//! Stores of docker-machine: read as they are, and written so that it can go on reading them.
//!
//! The fixtures were put together from docker-machine 0.16.2's structures, field by field in the
//! order in which Go writes them.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rmachine_driver::MachineName;
use rmachine_machine::{CertificateOverrides, Phase, Record, Store, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

const GENERIC: &str = include_str!("fixtures/generic.json");
const VIRTUALBOX: &str = include_str!("fixtures/virtualbox.json");
const OLD_ROOT: &str = "/home/ann/.docker/machine";

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

/// A store with one machine whose record has this text.
fn store_with(machine: &str, text: &str) -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let machine_dir = store.layout().machine_dir(&name(machine));
    fs::create_dir_all(&machine_dir).unwrap();
    fs::write(machine_dir.join("config.json"), text).unwrap();
    (dir, store)
}

fn written(store: &Store, machine: &str) -> Value {
    let text = fs::read(store.layout().record(&name(machine))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn keys(value: &Value, path: &str) -> Vec<String> {
    let object = value.pointer(path).unwrap().as_object().unwrap();
    object.keys().cloned().collect()
}

#[test]
fn a_machine_of_docker_machine_is_ready() {
    let (dir, store) = store_with("web1", GENERIC);
    let record = store.load(&name("web1")).unwrap();

    assert_eq!(record.driver_name(), "generic");
    assert_eq!(record.driver["IPAddress"], "10.0.0.7");
    assert_eq!(record.engine.labels, ["tier=web"]);
    assert_eq!(record.engine.dns, [""; 0]);
    assert_eq!(record.engine.install_url, "https://get.docker.com");
    assert_eq!(record.swarm.host, "tcp://0.0.0.0:3376");
    assert!(record.own.journal.is_ready());

    let moved = |path: &str| dir.path().join(path);
    assert_eq!(record.auth.ca_cert_path, moved("certs/ca.pem"));
    assert_eq!(record.auth.store_path, moved("machines/web1"));
    assert_eq!(
        record.driver["SSHKeyPath"],
        json!(moved("machines/web1/id_ed25519"))
    );
    assert_eq!(record.driver["SSHKey"], "/home/ann/.ssh/id_ed25519");
}

#[test]
fn a_save_changes_what_was_changed_and_nothing_else() {
    for (machine, text) in [("web1", GENERIC), ("default", VIRTUALBOX)] {
        let (dir, store) = store_with(machine, text);
        let guard = store.edit(&name(machine), Duration::ZERO).unwrap();
        guard.update(|record| record.swarm.is_swarm = true).unwrap();

        let here = dir.path().to_str().unwrap();
        let expected = text
            .replace(OLD_ROOT, here)
            .replace("\"IsSwarm\": false", "\"IsSwarm\": true");
        let saved = fs::read_to_string(store.layout().record(&name(machine))).unwrap();
        assert_eq!(saved, expected, "{machine}");
    }
}

#[test]
fn work_on_such_a_machine_is_noted_under_our_own_key() {
    let (_dir, store) = store_with("default", VIRTUALBOX);
    let guard = store.edit(&name("default"), Duration::ZERO).unwrap();
    guard.begin(Phase::Provisioned).unwrap();

    let saved = written(&store, "default");
    let phases: Vec<&str> = saved["Rmachine"]["Phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["Phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["Checked", "Created", "Reachable"]);
    assert_eq!(guard.journal().next(), Some(Phase::Provisioned));
    assert_eq!(
        store.load(&name("default")).unwrap().own,
        guard.record().own
    );
}

#[test]
fn a_new_record_has_docker_machines_keys_in_its_order() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let certificates = store.certificates(&CertificateOverrides::default());
    let record = Record::new(
        store.layout(),
        &certificates,
        name("web1"),
        "generic",
        json!({ "IPAddress": "10.0.0.7" })
            .as_object()
            .cloned()
            .unwrap(),
    );
    store.create(record, Duration::ZERO).unwrap();

    let ours = written(&store, "web1");
    let theirs: Value = serde_json::from_str(GENERIC).unwrap();
    let mut top = keys(&ours, "");
    assert_eq!(top.pop().as_deref(), Some("Rmachine"));
    assert_eq!(top, keys(&theirs, ""));
    for section in ["", "/EngineOptions", "/SwarmOptions", "/AuthOptions"] {
        let path = format!("/HostOptions{section}");
        assert_eq!(keys(&ours, &path), keys(&theirs, &path), "{path}");
        for key in keys(&ours, &path) {
            let kind = |value: &Value| {
                let value = &value.pointer(&path).unwrap()[&key];
                match value {
                    // Go reads both as a list without elements.
                    Value::Null => std::mem::discriminant(&json!([])),
                    other => std::mem::discriminant(other),
                }
            };
            assert_eq!(kind(&ours), kind(&theirs), "{path}/{key}");
        }
    }
    assert_eq!(ours["HostOptions"]["EngineOptions"]["TlsVerify"], true);
    assert!(
        Path::new(
            ours["HostOptions"]["AuthOptions"]["StorePath"]
                .as_str()
                .unwrap()
        )
        .is_absolute()
    );
}

#[test]
fn an_old_record_is_kept_when_it_is_first_saved() {
    let old = r#"{ "DriverName": "none", "Driver": { "URL": "tcp://10.0.0.1:2376" },
        "StorePath": "/old/machines/n1", "PrivateKeyPath": "/old/certs/ca-key.pem" }"#;
    let (dir, store) = store_with("n1", old);
    let backup = dir.path().join("machines/n1/config.json.bak");

    let record = store.load(&name("n1")).unwrap();
    let ca_key = dir.path().join("certs/ca-key.pem");
    assert_eq!(record.auth.ca_private_key_path, ca_key);
    assert!(record.own.journal.is_ready());
    assert!(!backup.exists(), "reading writes nothing");

    let guard = store.edit(&name("n1"), Duration::ZERO).unwrap();
    guard.update(|_| ()).unwrap();
    assert_eq!(fs::read_to_string(&backup).unwrap(), old);
    assert_eq!(written(&store, "n1")["ConfigVersion"], 3);

    fs::remove_file(&backup).unwrap();
    guard.update(|record| record.engine.ipv6 = true).unwrap();
    assert!(!backup.exists(), "kept once");
}

#[test]
fn a_moved_store_is_read_where_it_lies() {
    let parent = TempDir::new().unwrap();
    let (here, there) = (parent.path().join("a"), parent.path().join("b"));
    let store = Store::open(&here).unwrap();
    let certificates = store.certificates(&CertificateOverrides::default());
    let key = store.layout().machine_dir(&name("n1")).join("id_rsa");
    let driver = json!({ "StorePath": here, "SSHKeyPath": key });
    let driver = driver.as_object().cloned().unwrap();
    let record = Record::new(store.layout(), &certificates, name("n1"), "generic", driver);
    drop(store.create(record, Duration::ZERO).unwrap());

    fs::rename(&here, &there).unwrap();
    let record = Store::open(&there).unwrap().load(&name("n1")).unwrap();
    assert_eq!(record.auth.cert_dir, there.join("certs"));
    assert_eq!(
        record.driver["SSHKeyPath"],
        json!(there.join("machines/n1/id_rsa"))
    );
    let outside = PathBuf::from(record.driver["StorePath"].as_str().unwrap());
    assert_eq!(outside, there);
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_listed() {
    let (dir, store) = store_with("web1", GENERIC);
    for (machine, text, expected) in [
        (
            "broken",
            "{ \"Driver\": ".to_owned(),
            "EOF while parsing a value at line 1 column 12",
        ),
        (
            "empty",
            String::new(),
            "EOF while parsing a value at line 1 column 0",
        ),
        (
            "field",
            GENERIC.replace("[]", "7"),
            "HostOptions.AuthOptions.ServerCertSANs: invalid type: integer `7`",
        ),
        (
            "future",
            GENERIC.replace("\"ConfigVersion\": 3", "\"ConfigVersion\": 4"),
            "has version 4, and only 3 is known",
        ),
        (
            "list",
            "[]".to_owned(),
            "invalid type: sequence, expected a map",
        ),
        (
            "nameless",
            GENERIC.replace("\"generic\"", "\"\""),
            "DriverName: the driver's name is missing",
        ),
        (
            "version",
            "{ \"ConfigVersion\": \"3\" }".to_owned(),
            "ConfigVersion: \"3\" is not a version",
        ),
    ] {
        let machine_dir = dir.path().join("machines").join(machine);
        fs::create_dir(&machine_dir).unwrap();
        fs::write(machine_dir.join("config.json"), text).unwrap();
        let error = store.load(&name(machine)).unwrap_err().to_string();
        assert!(error.contains(expected), "{machine}: {error}");
        let path = machine_dir.join("config.json");
        assert!(error.contains(path.to_str().unwrap()), "{machine}: {error}");
    }
    fs::create_dir(dir.path().join("machines/half")).unwrap();
    assert!(matches!(
        store.load(&name("half")),
        Err(StoreError::Corrupt { .. })
    ));
    assert!(matches!(
        store.load(&name("none")),
        Err(StoreError::NotFound { .. })
    ));

    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 9);
    let readable = listed.iter().filter(|machine| machine.record.is_ok());
    assert_eq!(readable.count(), 1);
}

#[test]
fn a_record_shows_no_secret_of_its_driver() {
    let with_token = GENERIC.replace("\"SSHKey\"", "\"ApiToken\": \"hunter2\", \"SSHKey\"");
    let (_dir, store) = store_with("web1", &with_token);
    let guard = store.edit(&name("web1"), Duration::ZERO).unwrap();
    assert_eq!(guard.record().driver["ApiToken"], "hunter2");
    assert!(!format!("{guard:?}").contains("hunter2"));
}
