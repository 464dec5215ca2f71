//! The store under many processes at once, and under processes that are killed.
//!
//! The processes are this test binary again, with the test `worker` and a job in the environment.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rmachine_driver::MachineName;
use rmachine_machine::{CertificateOverrides, Record, SharedPem, Store, StoreError};
use tempfile::TempDir;

const JOB: &str = "STORE_TEST_JOB";
const ROOT: &str = "STORE_TEST_ROOT";
const NUMBER: &str = "STORE_TEST_NUMBER";

/// Long enough for any machine that the tests run on; only a defect makes it pass.
const PATIENCE: Duration = Duration::from_secs(120);

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

fn new_record(store: &Store, machine: &str) -> Record {
    let certificates = store.certificates(&CertificateOverrides::default());
    Record::new(
        store.layout(),
        &certificates,
        name(machine),
        "none",
        Default::default(),
    )
}

/// Processes at work; those that still are when a test fails are ended.
struct Workers(Vec<Child>);

impl Workers {
    /// Starts processes that do one of the jobs of [`worker`], with the numbers 0, 1, ….
    fn start(job: &str, root: &Path, count: usize) -> Self {
        let start = |number: usize| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "worker", "--ignored", "--nocapture"])
                .env(JOB, job)
                .env(ROOT, root)
                .env(NUMBER, number.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        Self((0..count).map(start).collect())
    }

    /// Waits until all have done their jobs without a failed assertion.
    fn finish(mut self) {
        let deadline = Instant::now() + PATIENCE;
        for child in &mut self.0 {
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                assert!(
                    Instant::now() < deadline,
                    "still at work after {PATIENCE:?}"
                );
                thread::sleep(Duration::from_millis(5));
            };
            assert!(status.success(), "a process ended with {status}");
        }
    }

    /// Ends all as a power cut would.
    fn kill(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "waited for {}", path.display());
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "started by the other tests of this file, as processes of their own"]
fn worker() {
    let Ok(job) = env::var(JOB) else {
        return;
    };
    let root = env::var(ROOT).unwrap();
    let number: usize = env::var(NUMBER).unwrap().parse().unwrap();
    let store = Store::open(&root).unwrap();
    match job.as_str() {
        "label" => label(&store, number),
        "read" => read(&store),
        "make-one" => make_one(&store, number),
        "make-and-remove" => make_and_remove(&store, number),
        "save-for-ever" => save_for_ever(&store),
        "hold" => hold(&store),
        "certificates" => certificates(&store, number),
        other => panic!("no job {other}"),
    }
}

const LABELS_EACH: usize = 12;

fn label(store: &Store, number: usize) {
    for step in 0..LABELS_EACH {
        let guard = store.edit(&name("shared"), PATIENCE).unwrap();
        let label = format!("{number}-{step}");
        guard
            .update(|record| record.engine.labels.push(label))
            .unwrap();
    }
}

/// Reads until somebody makes the file `stop`; every record there is must be whole.
fn read(store: &Store) {
    let stop = store.layout().root().join("stop");
    let mut labels = 0;
    loop {
        let last_round = stop.exists();
        for machine in store.list().unwrap() {
            let record = machine.record.unwrap();
            if record.name().as_str() == "shared" {
                assert!(record.engine.labels.len() >= labels, "a label was lost");
                labels = record.engine.labels.len();
            }
        }
        if last_round {
            return;
        }
    }
}

#[test]
fn no_change_is_lost_and_no_part_is_seen() {
    const WRITERS: usize = 6;
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    drop(
        store
            .create(new_record(&store, "shared"), Duration::ZERO)
            .unwrap(),
    );

    let readers = Workers::start("read", dir.path(), 2);
    let writers = Workers::start("label", dir.path(), WRITERS);
    writers.finish();
    fs::write(dir.path().join("stop"), "").unwrap();
    readers.finish();

    let labels = store.load(&name("shared")).unwrap().engine.labels;
    let distinct: BTreeSet<&String> = labels.iter().collect();
    assert_eq!(labels.len(), WRITERS * LABELS_EACH);
    assert_eq!(distinct.len(), labels.len());
}

fn make_one(store: &Store, number: usize) {
    wait_for(&store.layout().root().join("go"));
    match store.create(new_record(store, "one"), Duration::ZERO) {
        Ok(_guard) => {
            let won = store.layout().root().join(format!("won-{number}"));
            fs::write(won, "").unwrap();
        }
        Err(StoreError::Exists { .. } | StoreError::Busy { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_name_is_given_to_one_of_many() {
    let dir = TempDir::new().unwrap();
    let children = Workers::start("make-one", dir.path(), 8);
    fs::write(dir.path().join("go"), "").unwrap();
    children.finish();
    let entries = fs::read_dir(dir.path()).unwrap();
    let won = entries.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("won-")
    });
    assert_eq!(won.count(), 1);
}

fn make_and_remove(store: &Store, number: usize) {
    let machine = format!("m{}", number % 3);
    for _ in 0..20 {
        match store.create(new_record(store, &machine), PATIENCE) {
            Ok(guard) => guard.remove().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_machine_is_there_with_its_record_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let readers = Workers::start("read", dir.path(), 2);
    let makers = Workers::start("make-and-remove", dir.path(), 6);
    makers.finish();
    fs::write(dir.path().join("stop"), "").unwrap();
    readers.finish();
    let left = fs::read_dir(dir.path().join("machines")).unwrap();
    assert_eq!(left.count(), 0);
}

const LENGTH: usize = 2 << 20;

/// Saves records so long that most of the time goes into writing them. They are whole when all
/// letters of the label are equal.
fn save_for_ever(store: &Store) {
    let guard = store.edit(&name("shared"), PATIENCE).unwrap();
    for letter in ["a", "b", "c"].into_iter().cycle() {
        let labels = vec![letter.repeat(LENGTH)];
        guard
            .update(|record| record.engine.labels = labels)
            .unwrap();
    }
}

/// Waits until a save is between its first and its last step on disk.
fn wait_for_a_save(machine_dir: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let files: Vec<_> = fs::read_dir(machine_dir).unwrap().flatten().collect();
        let whole = |file: &fs::DirEntry| file.metadata().is_ok_and(|m| m.len() > LENGTH as u64);
        if files.len() != 1 || !whole(&files[0]) {
            return;
        }
        assert!(Instant::now() < deadline, "waited for a save");
        thread::sleep(Duration::from_micros(20));
    }
}

#[test]
fn a_save_that_is_killed_leaves_the_old_record_or_the_new() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut record = new_record(&store, "shared");
    record.engine.labels = vec!["a".repeat(LENGTH)];
    drop(store.create(record, Duration::ZERO).unwrap());
    let machine_dir = store.layout().machine_dir(&name("shared"));

    for round in 0..12 {
        let mut saver = Workers::start("save-for-ever", dir.path(), 1);
        wait_for_a_save(&machine_dir);
        // At another step each time.
        thread::sleep(Duration::from_micros(300 * round));
        saver.kill();

        let labels = store.load(&name("shared")).unwrap().engine.labels;
        assert!(
            labels[0] == labels[0][..1].repeat(LENGTH),
            "a part of a record"
        );
        // The lock went with the process, and what it left goes with the next one to work here.
        drop(store.edit(&name("shared"), PATIENCE).unwrap());
        let files = fs::read_dir(&machine_dir).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["config.json"]);
    }
}

/// Holds a machine, and starts a program that outlives it.
#[allow(
    clippy::zombie_processes,
    reason = "the program is to outlive this one"
)]
fn hold(store: &Store) {
    let _guard = store.edit(&name("shared"), Duration::ZERO).unwrap();
    let child = Command::new("sleep").arg("60").spawn().unwrap();
    let pids = format!("{} {}", std::process::id(), child.id());
    let written = store.layout().root().join("holding.new");
    fs::write(&written, pids).unwrap();
    fs::rename(written, store.layout().root().join("holding")).unwrap();
    thread::sleep(PATIENCE);
}

#[test]
fn a_lock_ends_with_its_process_and_not_with_what_that_started() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    drop(
        store
            .create(new_record(&store, "shared"), Duration::ZERO)
            .unwrap(),
    );

    let mut holder = Workers::start("hold", dir.path(), 1);
    let holding = dir.path().join("holding");
    wait_for(&holding);
    let pids = fs::read_to_string(&holding).unwrap();
    let (pid, sleeper) = pids.split_once(' ').unwrap();

    match store.edit(&name("shared"), Duration::from_millis(30)) {
        Err(StoreError::Busy { holder, .. }) => assert_eq!(holder, pid.parse().ok()),
        other => panic!("{other:?}"),
    }
    holder.kill();
    let free = store.edit(&name("shared"), PATIENCE);
    Command::new("kill").arg(sleeper).status().unwrap();
    free.unwrap();
}

/// What the users of the store do on an empty one: make the CA if there is none.
fn certificates(store: &Store, number: usize) {
    let certificates = store.certificates(&CertificateOverrides::default());
    let lock = store.lock_certificates(PATIENCE).unwrap();
    if certificates.read(SharedPem::CaKey).unwrap().is_none() {
        let text = format!("made by {number}");
        certificates.write(&lock, SharedPem::CaKey, &text).unwrap();
        certificates
            .write(&lock, SharedPem::CaCertificate, &text)
            .unwrap();
    }
    let made_by = certificates.read(SharedPem::CaKey).unwrap();
    drop(lock);
    assert_eq!(
        certificates.read(SharedPem::CaCertificate).unwrap(),
        made_by
    );
}

#[test]
fn an_empty_store_gets_one_ca() {
    let dir = TempDir::new().unwrap();
    let children = Workers::start("certificates", dir.path(), 10);
    children.finish();
}
