//! `rmachine iso`, as a person types it.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::world::{Ran, World};
use server::{Behaviour, Server, iso};

#[allow(dead_code, reason = "of what the server can, this program asks less")]
#[path = "../../crates/iso/tests/cache/server.rs"]
pub mod server;

#[test]
fn twenty_processes_make_one_download() {
    let image = iso("ONE", 4000);
    let server = Server::start(Behaviour {
        cuts: vec![2_000_000],
        pause: Duration::from_millis(5),
        ..Behaviour::of(&image)
    });
    let world = World::new();
    let url = server.url("/one.iso");
    thread::scope(|scope| {
        let pull = || world.run(["iso", "pull", "--name", "one", &url]);
        let runs: Vec<_> = (0..20).map(|_| scope.spawn(pull)).collect();
        for run in runs {
            let ran = run.join().unwrap();
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(ran.err.contains("ONE, 8.1 MB"), "{ran:?}");
        }
    });
    // The download broke off once, and one process went on with it.
    let ranges: Vec<Option<String>> = server.requests().into_iter().map(|r| r.range).collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(ranges[1].is_some(), "{ranges:?}");
    assert_eq!(fs::read(world.root().join("cache/one.iso")).unwrap(), image);
}

#[test]
fn lists_pulls_imports_verifies_and_removes() {
    let world = World::new();
    assert_eq!(world.run(["iso", "ls", "--format", "json"]).data(), "[]\n");
    let file = world.path().join("mine.iso");
    fs::write(&file, iso("MINE", 50)).unwrap();
    let ran = world.run(["iso", "import", "mine.iso"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    fs::write(world.root().join("cache/boot2docker.iso"), "half").unwrap();

    let listed = world.run(["iso", "ls"]).data();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME "), "{listed}");
    assert!(lines[1].contains("it has only 4 bytes"), "{listed}");
    assert!(
        lines[2].starts_with("mine ") && lines[2].contains("0.1 MB   MINE"),
        "{listed}"
    );
    assert_eq!(world.run(["iso", "ls", "-q"]).data(), "boot2docker\nmine\n");
    let listed: Value =
        serde_json::from_str(&world.run(["iso", "ls", "-f", "json"]).data()).unwrap();
    assert_eq!(listed[1]["Label"], "MINE");
    assert_eq!(listed[1]["Size"], 50 * 2048);

    let verified = world.run(["iso", "verify", "mine"]);
    assert!(verified.out.ends_with("/cache/mine.iso\n"), "{verified:?}");
    let refused = world.run(["iso", "verify", "mine", "boot2docker"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("hint: rmachine iso rm boot2docker\n"),
        "{refused:?}"
    );

    world.run(["iso", "rm", "mine", "boot2docker"]);
    assert_eq!(world.run(["iso", "ls", "-q"]).data(), "");
    let refused = world.run(["iso", "rm", "mine"]).failure(1);
    assert!(refused.contains("there is no ISO mine"), "{refused}");
    assert_eq!(world.run(["iso", "rm", "-f", "mine"]).code, 0);
}

#[test]
fn what_was_put_there_by_hand_is_not_pulled_for_another_checksum() {
    let world = World::new();
    let cache = world.root().join("cache");
    fs::create_dir_all(&cache).unwrap();
    for name in ["boot2docker", "mine"] {
        fs::write(cache.join(format!("{name}.iso")), iso("MINE", 50)).unwrap();
    }
    let other = "0".repeat(64);
    assert_eq!(world.run(["iso", "pull"]).code, 0);
    for (pull, name) in [
        (["iso", "pull", "--sha256", &other], "boot2docker"),
        (["iso", "pull", "--name", "mine"], "mine"),
    ] {
        let refused = world.run(pull).failure(1);
        assert!(refused.contains("has the wrong checksum"), "{refused}");
        let hint = format!("hint: rmachine iso rm {name}\n");
        assert!(refused.contains(&hint), "{refused}");
    }
}

#[test]
fn says_what_cannot_be_downloaded() {
    let world = World::new();
    let refused = world
        .run(["iso", "pull", "ftp://example.org/x.iso"])
        .failure(2);
    assert!(refused.contains("no ISO can come from"), "{refused}");
    let server = Server::start(Behaviour {
        refusals: vec![404],
        ..Behaviour::of(&[])
    });
    let refused = world.run(["iso", "pull", &server.url("/x.iso")]).failure(1);
    assert!(refused.contains("the server says 404"), "{refused}");
    assert!(
        refused.contains("hint: rmachine iso import FILE"),
        "{refused}"
    );
}

#[test]
fn proxies_and_the_mirror_are_used() {
    let image = iso("B2D", 50);
    let server = Server::start(Behaviour::of(&image));
    let world = World::new();
    // The proxy is asked for the name that it resolves itself.
    let pulled = world
        .command(["iso", "pull", "http://iso.example/p.iso"])
        .env("http_proxy", server.url(""))
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{pulled:?}");
    let asked = |n: usize| server.requests()[n].line.clone();
    assert_eq!(asked(0), "GET http://iso.example/p.iso HTTP/1.1");

    let sum = rmachine_iso::Sha256::of(&image).to_string();
    let pulled = world
        .command(["iso", "pull", "--sha256", &sum])
        .env("MACHINE_ISO_MIRROR", server.url("/b2d"))
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{pulled:?}");
    assert_eq!(asked(1), "GET /b2d/v19.03.12/boot2docker.iso HTTP/1.1");
}

#[test]
fn says_what_is_missing_to_build_one() {
    let world = World::new();
    let mut build = world.command(["iso", "build"]);
    let refused = Ran::of(build.env("PATH", "/nowhere")).failure(3);
    assert!(refused.contains("mksquashfs"), "{refused}");
    assert!(
        refused.contains("hint: apt-get install -y apt "),
        "{refused}"
    );

    fs::write(world.path().join("list"), "rmachine-iso 1\nengine 19.03\n").unwrap();
    let refused = world.run(["iso", "build", "--lock", "list"]).failure(2);
    assert!(
        refused.contains("list, line 2: no image is made with"),
        "{refused}"
    );
}
