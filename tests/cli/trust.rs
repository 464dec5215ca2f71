//! Records that name files outside the store, and hosts whose pinned key was lost, on a real sshd
//! of the loopback.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rmachine_machine::{StoreKind, StoreServer, StoreSource};
use rmachine_ssh::HostKey;
use serde_json::{Value, json};

use crate::sshd::Lab;
use crate::world::World;

const FAILED: i32 = 1;
const CONNECTION: i32 = 8;

const SECRET: &str = "first line of a private file";

/// A host that keeps the password which sudo is given, and a store with a machine `n1` on it.
struct Place {
    world: World,
    host: Lab,
}

impl Place {
    fn new() -> Option<Self> {
        let mut host = Lab::without_sshd()?;
        host.write_program(
            "id",
            "#!/bin/sh\n[ -n \"$FAKE_ROOT\" ] && echo 0 || echo 1000\n",
        );
        let sudo = format!(
            "#!/bin/sh\ncase \"$1\" in\n-k) shift 4; IFS= read -r given\n\
             printf %s \"$given\" >'{}'\nexec env FAKE_ROOT=1 \"$@\" ;;\nesac\n\
             echo 'sudo: a password is required' >&2\nexit 1\n",
            host.path("given").display()
        );
        host.write_program("sudo", &sudo);
        let config = host.search_programs_first();
        host.start_sshd(&config);
        let world = World::new();
        let private = world.path().join("private");
        fs::write(&private, format!("{SECRET}\nmore\n")).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
        Some(Self { world, host })
    }

    /// The machine `n1` on the host, with these fields instead of the usual ones.
    fn machine(&self, change: impl FnOnce(&mut Value)) {
        let key = self.world.machine_dir("n1").join("id_ed25519");
        let mut config = json!({
            "IPAddress": "127.0.0.1", "MachineName": "n1", "SSHUser": "",
            "SSHPort": self.host.port(), "SSHKeyPath": key, "EnginePort": 2376,
        });
        change(&mut config);
        self.world.machine_of("generic", "n1", &config, |_| {});
        fs::copy(self.host.path("id_ed25519"), key).unwrap();
        self.pin_host_key();
    }

    fn host_key(&self) -> HostKey {
        self.host.public_key("host_ed25519").parse().unwrap()
    }

    fn known_hosts(&self) -> PathBuf {
        self.world.machine_dir("n1").join("known_hosts")
    }

    fn pin_host_key(&self) {
        fs::write(self.known_hosts(), format!("n1 {}\n", self.host_key())).unwrap();
    }

    /// The password that the host was given.
    fn given(&self) -> Option<String> {
        fs::read_to_string(self.host.path("given")).ok()
    }

    fn private(&self) -> PathBuf {
        self.world.path().join("private")
    }

    fn approvals(&self) -> PathBuf {
        let state = self.world.path().join(".local/state/rmachine");
        state.join("approved-paths.json")
    }
}

fn names(text: &str, field: &str, path: &Path) {
    let path = format!("{:?}", path.canonicalize().unwrap());
    for part in [field, &path, "rmachine trust n1"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn record_that_names_a_file_outside_the_store_is_rejected_until_approved() {
    let Some(place) = Place::new() else { return };
    let private = place.private().canonicalize().unwrap();
    place.machine(|config| config["Rmachine"] = json!({"SudoPasswordFile": private}));
    let world = &place.world;
    let field = "Driver.Rmachine.SudoPasswordFile";
    for command in [
        &["provision", "--dry-run", "n1"][..],
        &["provision", "n1"],
        &["regenerate-certs", "-f", "n1"],
        &["restart", "n1"],
        &["ssh", "n1", "true"],
        &["scp", "n1:/etc/hostname", "."],
        &["rm", "-y", "--restore", "n1"],
        &["trust", "--host-key", "SHA256:any", "n1"],
    ] {
        let ran = world.run(command);
        assert_eq!(ran.code, FAILED, "{command:?}: {ran:?}");
        names(&ran.err, field, &private);
    }
    let asked = world.run(["trust", "n1"]);
    assert_eq!(asked.code, FAILED, "{asked:?}");
    assert!(asked.err.contains("rmachine trust --paths n1"), "{asked:?}");
    assert_eq!(place.given(), None, "the host was given the file's content");
    assert!(!place.approvals().exists());

    // What reads no file goes on working.
    assert_eq!(world.run(["ip", "n1"]).data(), "127.0.0.1\n");
    assert!(world.run(["ls"]).out.contains(field));

    let approved = world.run(["trust", "--paths", "n1"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let mode = fs::metadata(place.approvals()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let planned = world.run(["provision", "--dry-run", "n1"]);
    assert!(!planned.err.contains(field), "{planned:?}");
    assert_eq!(place.given().as_deref(), Some(SECRET), "{planned:?}");

    // Another machine with the same record is another matter.
    let copy = world.machine_dir("n2");
    fs::create_dir(&copy).unwrap();
    for file in ["config.json", "id_ed25519", "known_hosts"] {
        fs::copy(world.machine_dir("n1").join(file), copy.join(file)).unwrap();
    }
    let other = world.run(["provision", "--dry-run", "n2"]);
    assert!(other.err.contains("rmachine trust n2"), "{other:?}");
}

#[test]
fn program_that_another_record_names_is_sent_only_after_approval() {
    let world = World::new();
    let private = world.path().join("private");
    fs::write(&private, SECRET).unwrap();
    world.machine("n1", "tcp://127.0.0.1:1", |record| {
        record.own.store = Some(StoreServer {
            kind: StoreKind::Etcd,
            join: None,
            source: StoreSource::Program(private.clone()),
            address: Some([127, 0, 0, 1].into()),
            peers: Vec::new(),
        });
    });
    let join = [
        "create",
        "-d",
        "none",
        "--url",
        "tcp://127.0.0.1:2",
        "--store",
        "etcd",
        "--store-join",
        "n1",
        "n2",
    ];
    for extra in [&[][..], &["--dry-run"]] {
        let ran = world.run([&join[..], extra].concat());
        assert_eq!(ran.code, FAILED, "{ran:?}");
        names(&ran.err, "Rmachine.Store.Source.Program", &private);
    }
    assert!(!world.machine_dir("n2").exists());
    assert_eq!(world.run(["trust", "--paths", "n1"]).code, 0);
    let ran = world.run(join);
    assert!(!ran.err.contains("rmachine trust"), "{ran:?}");
}

#[test]
fn removed_machine_loses_its_approvals() {
    let Some(place) = Place::new() else { return };
    let private = place.private().canonicalize().unwrap();
    let record = |config: &mut Value| config["Rmachine"] = json!({"SudoPasswordFile": private});
    place.machine(record);
    // Its host was adopted, so removing the machine reads nothing.
    assert_eq!(place.world.run(["rm", "-y", "n1"]).code, 0);
    place.machine(record);
    assert_eq!(place.world.run(["trust", "--paths", "n1"]).code, 0);
    assert_eq!(place.world.run(["rm", "-y", "n1"]).code, 0);
    place.machine(record);
    let ran = place.world.run(["provision", "--dry-run", "n1"]);
    names(&ran.err, "Driver.Rmachine.SudoPasswordFile", &private);
    assert_eq!(place.given(), None);
}

#[test]
fn key_that_leads_out_of_the_store_is_rejected() {
    let Some(place) = Place::new() else { return };
    let key = place.world.path().join("key");
    fs::copy(place.host.path("id_ed25519"), &key).unwrap();
    place.machine(|_| {});
    let dir = place.world.machine_dir("n1");
    assert_eq!(place.world.run(["ssh", "n1", "echo", "in"]).data(), "in\n");

    fs::remove_file(dir.join("id_ed25519")).unwrap();
    symlink(&key, dir.join("id_ed25519")).unwrap();
    let linked = place.world.run(["ssh", "n1", "echo", "in"]);
    assert_eq!(linked.code, FAILED, "{linked:?}");
    names(&linked.err, "Driver.SSHKeyPath", &key);

    let climbing = dir.join("../../../key");
    let record = dir.join("config.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    json["Driver"]["SSHKeyPath"] = json!(climbing);
    fs::write(&record, json.to_string()).unwrap();
    let climbed = place.world.run(["ssh", "n1", "echo", "in"]);
    assert_eq!(climbed.code, FAILED, "{climbed:?}");
    names(&climbed.err, "Driver.SSHKeyPath", &key);

    let mut trust = place.world.command(["trust", "n1"]);
    fs::write(place.world.path().join("yes"), "y\n").unwrap();
    trust.stdin(fs::File::open(place.world.path().join("yes")).unwrap());
    let trusted = crate::world::Ran::of(&mut trust);
    assert_eq!(trusted.code, 0, "{trusted:?}");
    assert_eq!(place.world.run(["ssh", "n1", "echo", "in"]).data(), "in\n");
}

#[test]
fn lost_pin_of_a_ready_machine_rejects_its_host_until_the_key_is_accepted() {
    let Some(place) = Place::new() else { return };
    place.machine(|_| {});
    let world = &place.world;
    let fingerprint = place.host_key().fingerprint();
    for lose in [
        |file: &Path| fs::remove_file(file).unwrap(),
        |file: &Path| fs::write(file, "").unwrap(),
    ] {
        lose(&place.known_hosts());
        for command in [
            &["provision", "--dry-run", "n1"][..],
            &["provision", "n1"],
            &["ssh", "n1", "echo", "in"],
            &["scp", "n1:/etc/hostname", "."],
        ] {
            let ran = world.run(command);
            assert_eq!((ran.code, ran.out.as_str()), (CONNECTION, ""), "{ran:?}");
            assert!(ran.err.contains("no host key of"), "{ran:?}");
            assert!(ran.err.contains("rmachine trust n1"), "{ran:?}");
        }
        let asked = world.run(["trust", "n1"]);
        assert_eq!(asked.code, CONNECTION, "{asked:?}");
        assert!(asked.err.contains(&fingerprint), "{asked:?}");
        let other = world.run(["trust", "--host-key", "SHA256:another", "n1"]);
        assert_eq!(other.code, CONNECTION, "{other:?}");
        let known = fs::read_to_string(place.known_hosts()).unwrap_or_default();
        assert_eq!(known, "");

        let accepted = world.run(["trust", "--host-key", &fingerprint, "n1"]);
        assert_eq!(accepted.code, 0, "{accepted:?}");
        assert_eq!(world.run(["ssh", "n1", "echo", "in"]).data(), "in\n");
    }
}

#[test]
fn changed_host_key_is_accepted_with_trust() {
    let Some(place) = Place::new() else { return };
    place.machine(|_| {});
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";
    fs::write(place.known_hosts(), format!("n1 {other}\n")).unwrap();
    let rejected = place.world.run(["provision", "--dry-run", "n1"]);
    assert_eq!(rejected.code, CONNECTION, "{rejected:?}");
    assert!(rejected.err.contains("rmachine trust n1"), "{rejected:?}");
    let fingerprint = place.host_key().fingerprint();
    let accepted = place.world.run(["trust", "--host-key", &fingerprint, "n1"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let known = fs::read_to_string(place.known_hosts()).unwrap();
    assert_eq!(known, format!("n1 {}\n", place.host_key()));
}

#[test]
fn machine_of_docker_machine_is_pinned_at_first_contact() {
    let Some(place) = Place::new() else { return };
    place.machine(|_| {});
    let record = place.world.machine_dir("n1").join("config.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("Rmachine");
    fs::write(&record, json.to_string()).unwrap();
    fs::remove_file(place.known_hosts()).unwrap();
    assert_eq!(place.world.run(["ssh", "n1", "echo", "in"]).data(), "in\n");
    let known = fs::read_to_string(place.known_hosts()).unwrap();
    assert_eq!(known.trim_end(), format!("n1 {}", place.host_key()));
    // Once it was pinned, an emptied file is a lost pin.
    fs::write(place.known_hosts(), "").unwrap();
    let ran = place.world.run(["ssh", "n1", "echo", "in"]);
    assert_eq!(ran.code, CONNECTION, "{ran:?}");
}
