//! Users and passwords in URLs: never stored, never printed.

use std::fs;
use std::path::Path;

use crate::iso::server::{Behaviour, Server, iso};
use crate::world::World;

const USAGE: i32 = 2;

/// The files below a directory that contain this text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn create_rejects_url_with_password_and_stores_nothing() {
    let world = World::new();
    let with = |url: &str| url.replace("//", "//me:secret@");
    let url = with("tcp://10.0.0.5:2376");
    let none = ["create", "-d", "none", "--url"];
    let plain = "tcp://10.0.0.5:2376";
    let mirror = with("https://mirror.example");
    let script = with("https://get.example/docker.sh");
    let etcd = with("etcd://10.0.0.6:2379/x");
    let store = format!("cluster-store={etcd}");
    let iso = with("https://example.org/x.iso");
    for words in [
        &[&none[..], &[&url, "n1"]].concat(),
        &[
            &none[..],
            &[plain, "--engine-registry-mirror", &mirror, "n1"],
        ]
        .concat(),
        &[&none[..], &[plain, "--engine-install-url", &script, "n1"]].concat(),
        &[&none[..], &[plain, "--engine-opt", &store, "n1"]].concat(),
        &[
            &none[..],
            &[plain, "--swarm", "--swarm-discovery", &etcd, "n1"],
        ]
        .concat(),
        &vec![
            "create",
            "-d",
            "virtualbox",
            "--virtualbox-boot2docker-url",
            &iso,
            "n1",
        ],
        &vec!["create", "-d", "virtualbox", "--iso", &iso, "n1"],
        &vec![
            "create",
            "-d",
            "docker",
            "--docker-debian-mirror",
            &mirror,
            "n1",
        ],
        &vec!["create", "-d", "docker", "--docker-host", &url, "n1"],
        &vec![
            "create",
            "-d",
            "virtualbox",
            "--virtualbox-cpu-count",
            &url,
            "n1",
        ],
    ] {
        for extra in [&["--progress=json"][..], &["--dry-run"], &[]] {
            let ran = world.run([&words[..], extra].concat());
            assert_eq!(ran.code, USAGE, "{words:?}: {ran:?}");
            assert!(!format!("{ran:?}").contains("secret"), "{ran:?}");
        }
        assert_eq!(files_with(world.path(), "secret"), [""; 0], "{words:?}");
    }
    assert!(!world.machine_dir("n1").exists());
}

#[test]
fn inspect_and_ls_hide_the_password_of_a_proxy() {
    let world = World::new();
    world.machine("n1", "tcp://127.0.0.1:1", |record| {
        record.engine.env = vec!["HTTP_PROXY=http://me:secret@proxy:3128".to_owned()];
    });
    let shown = world.run(["inspect", "n1"]).data();
    assert!(shown.contains("http://***@proxy:3128"), "{shown}");
    for words in [
        &["inspect", "n1"][..],
        &["inspect", "--format", "json", "n1"],
        &[
            "inspect",
            "--format",
            "{{.HostOptions.EngineOptions.Env}}",
            "n1",
        ],
        &["ls", "--format", "json"],
        &["ls", "--format", "{{.EngineOptions}}"],
    ] {
        let ran = world.run(words);
        assert!(!format!("{ran:?}").contains("secret"), "{ran:?}");
    }
}

#[test]
fn iso_pull_sends_the_password_and_keeps_it_nowhere() {
    let server = Server::start(Behaviour::of(&iso("ONE", 400)));
    let world = World::new();
    let url = server.url("/one.iso").replace("//", "//me:secret@");
    let debug = world.run(["--debug", "iso", "pull", "--name", "one", &url]);
    assert_eq!(debug.code, 0, "{debug:?}");
    assert!(!format!("{debug:?}").contains("secret"), "{debug:?}");
    assert!(debug.err.contains("plain http"), "{debug:?}");
    let requests = server.requests();
    // "me:secret" in base64, as the server keeps it: in lower case.
    assert_eq!(
        requests[0].authorization.as_deref(),
        Some("basic bwu6c2vjcmv0")
    );
    assert_eq!(files_with(world.path(), "secret"), [""; 0]);
    assert!(!world.run(["iso", "ls"]).data().contains("secret"));
    // It is the same ISO with another password, or with none.
    let again = world.run(["iso", "pull", "--name", "one", &server.url("/one.iso")]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn iso_pull_with_a_checksum_does_not_warn_of_plain_http() {
    let image = iso("ONE", 400);
    let server = Server::start(Behaviour::of(&image));
    let world = World::new();
    let digits = rmachine_iso::Sha256::of(&image).to_string();
    let url = server.url("/one.iso");
    let ran = world.run(["iso", "pull", "--sha256", &digits, &url]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("warning"), "{ran:?}");
    let other = World::new().run(["iso", "pull", &url]);
    assert!(
        other.err.contains("warning") && other.err.contains("plain http"),
        "{other:?}"
    );
}
