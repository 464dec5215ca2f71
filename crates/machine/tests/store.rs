//! The store on a real file system, from one process.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rmachine_driver::{MachineName, Resource, ResourceJournal as _};
use rmachine_machine::{
    CertificateOverrides, MachineFile, Phase, Record, SharedPem, Store, StoreError,
};
use tempfile::TempDir;

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

fn new_store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    (dir, store)
}

fn record(store: &Store, machine: &str) -> Record {
    let certificates = store.certificates(&CertificateOverrides::default());
    Record::new(
        store.layout(),
        &certificates,
        name(machine),
        "none",
        Default::default(),
    )
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn reading_makes_nothing() {
    let (dir, store) = new_store();
    assert!(store.names().unwrap().is_empty());
    assert!(store.list().unwrap().is_empty());
    let missing = store.edit(&name("n1"), Duration::ZERO).unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }));
    assert!(!dir.path().join("store").exists());
}

#[test]
fn a_name_is_given_once() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    let busy = store
        .create(record(&store, "n1"), Duration::from_millis(20))
        .unwrap_err();
    let StoreError::Busy {
        name,
        waited,
        holder,
    } = busy
    else {
        panic!("{busy}");
    };
    assert_eq!(name.as_str(), "n1");
    assert_eq!(waited, Duration::from_millis(20));
    assert_eq!(holder, Some(std::process::id()));
    drop(guard);

    let exists = store
        .create(record(&store, "n1"), Duration::ZERO)
        .unwrap_err();
    assert!(matches!(exists, StoreError::Exists { .. }), "{exists}");
    store.create(record(&store, "n2"), Duration::ZERO).unwrap();
}

#[test]
fn whoever_works_on_a_machine_is_seen() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let name: MachineName = "n1".parse().unwrap();
    assert!(!store.is_worked_on(&name).unwrap());
    let lock = store.lock_machine(&name, Duration::ZERO).unwrap();
    assert!(store.is_worked_on(&name).unwrap());
    drop(lock);
    assert!(!store.is_worked_on(&name).unwrap());
    // The question took nothing.
    store.lock_machine(&name, Duration::ZERO).unwrap();
}

#[test]
fn only_the_owner_can_read_what_is_private() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    guard.write_file(MachineFile::ServerKey, b"key").unwrap();
    guard
        .write_file(MachineFile::ServerCertificate, b"certificate")
        .unwrap();
    guard.update(|record| record.engine.ipv6 = true).unwrap();

    let certificates = store.certificates(&CertificateOverrides::default());
    let lock = store.lock_certificates(Duration::ZERO).unwrap();
    certificates.write(&lock, SharedPem::CaKey, "key").unwrap();
    certificates
        .write(&lock, SharedPem::CaCertificate, "certificate")
        .unwrap();

    let root = store.layout().root();
    for (path, expected) in [
        ("", 0o700),
        ("machines", 0o700),
        ("machines/n1", 0o700),
        ("machines/n1/config.json", 0o600),
        ("machines/n1/server-key.pem", 0o600),
        ("machines/n1/server.pem", 0o644),
        ("certs", 0o700),
        ("certs/ca-key.pem", 0o600),
        ("certs/ca.pem", 0o644),
    ] {
        assert_eq!(mode(&root.join(path)), expected, "{path}");
    }
}

#[test]
fn certificates_can_lie_elsewhere() {
    let (dir, store) = new_store();
    let elsewhere = dir.path().join("pki/ca.pem");
    let certificates = store.certificates(&CertificateOverrides {
        ca_certificate: Some(elsewhere.clone()),
        ..CertificateOverrides::default()
    });
    assert_eq!(certificates.read(SharedPem::CaCertificate).unwrap(), None);
    let lock = store.lock_certificates(Duration::ZERO).unwrap();
    certificates
        .write(&lock, SharedPem::CaCertificate, "text")
        .unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "text");
    assert_eq!(
        certificates
            .read(SharedPem::CaCertificate)
            .unwrap()
            .as_deref(),
        Some("text")
    );

    let record = Record::new(
        store.layout(),
        &certificates,
        name("n1"),
        "none",
        Default::default(),
    );
    assert_eq!(record.auth.ca_cert_path, elsewhere);
    assert_eq!(record.auth.client_key_path, store.layout().client_key());
}

#[test]
fn names_are_in_natural_order() {
    let (_dir, store) = new_store();
    for machine in ["m10", "m2", "m1", "a"] {
        drop(
            store
                .create(record(&store, machine), Duration::ZERO)
                .unwrap(),
        );
    }
    let machines = store.layout().machines_dir();
    fs::create_dir(machines.join(".m3.new")).unwrap();
    fs::create_dir(machines.join("not a name")).unwrap();
    fs::write(machines.join("m4"), "a file").unwrap();

    let names: Vec<String> = store
        .names()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["a", "m1", "m2", "m10"]);
}

#[test]
fn a_removed_machine_leaves_nothing_and_its_name_is_free() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    guard.write_file(MachineFile::ServerKey, b"key").unwrap();
    guard.remove().unwrap();

    assert!(!store.contains(&name("n1")));
    let left = fs::read_dir(store.layout().machines_dir()).unwrap();
    assert_eq!(left.count(), 0);
    let lock = store.lock_machine(&name("n1"), Duration::ZERO).unwrap();
    store.remove(&lock).unwrap();
    drop(lock);
    store.create(record(&store, "n1"), Duration::ZERO).unwrap();
}

#[test]
fn what_a_killed_process_left_is_in_nobodys_way() {
    let (_dir, store) = new_store();
    let layout = store.layout();
    for dir in [".n1.new", ".n1.removed"] {
        let dir = layout.machines_dir().join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("key.pem"), "key").unwrap();
    }
    assert!(store.names().unwrap().is_empty());
    drop(store.create(record(&store, "n1"), Duration::ZERO).unwrap());

    let unfinished = layout.machine_dir(&name("n1")).join(".rmachine-x1");
    fs::write(&unfinished, "half").unwrap();
    let guard = store.edit(&name("n1"), Duration::ZERO).unwrap();
    assert!(!unfinished.exists());
    guard.remove().unwrap();
    assert_eq!(fs::read_dir(layout.machines_dir()).unwrap().count(), 0);
}

#[test]
fn a_machine_that_cannot_be_read_can_be_removed() {
    let (_dir, store) = new_store();
    drop(store.create(record(&store, "n1"), Duration::ZERO).unwrap());
    fs::write(store.layout().record(&name("n1")), "{").unwrap();
    assert!(matches!(
        store.edit(&name("n1"), Duration::ZERO),
        Err(StoreError::Corrupt { .. })
    ));
    let lock = store.lock_machine(&name("n1"), Duration::ZERO).unwrap();
    store.remove(&lock).unwrap();
    assert!(store.names().unwrap().is_empty());
}

#[test]
fn a_resource_is_on_disk_before_it_is_made() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    let container = Resource::new("container", "n1");
    let volume = Resource::new("volume", "n1-data");
    for resource in [&container, &volume, &container] {
        guard.about_to_make(resource).unwrap();
        assert!(
            store
                .load(&name("n1"))
                .unwrap()
                .own
                .owned
                .contains(resource)
        );
    }
    assert_eq!(guard.owned(), [container.clone(), volume.clone()]);
    guard.removed(&container).unwrap();
    assert_eq!(store.load(&name("n1")).unwrap().own.owned, [volume]);
}

#[test]
fn the_journal_is_on_disk_at_once() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    let on_disk = || store.load(&name("n1")).unwrap().own.journal;
    assert_eq!(on_disk().next(), Some(Phase::Checked));
    for phase in Phase::ALL {
        guard.begin(phase).unwrap();
        assert_eq!(on_disk().begun().map(|begun| begun.phase), Some(phase));
        guard.failed(phase, "the host went away").unwrap();
        assert_eq!(
            on_disk().last_error().unwrap().message,
            "the host went away"
        );
        assert_eq!(on_disk().next(), Some(phase));
        guard.done(phase).unwrap();
        assert_eq!(on_disk(), guard.journal());
    }
    assert!(on_disk().is_ready());
    assert_eq!(on_disk().last_error(), None);
}

#[test]
fn a_change_that_cannot_be_saved_is_not_made() {
    let (_dir, store) = new_store();
    let guard = store.create(record(&store, "n1"), Duration::ZERO).unwrap();
    fs::remove_dir_all(store.layout().machine_dir(&name("n1"))).unwrap();
    let gone = guard.begin(Phase::Checked).unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { .. }), "{gone}");
    assert_eq!(guard.journal().begun(), None);
}
