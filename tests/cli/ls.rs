use rmachine_machine::Phase;
use rmachine_pki::{Authority, KeyType, San, ServerRequest};
use serde_json::Value;
use time::OffsetDateTime;

use crate::engine;
use crate::world::{Ran, World};

/// Three machines on a socket with an engine, one of them in force, and one that cannot be read.
fn world() -> (World, String) {
    let world = World::new();
    let socket = world.path().join("docker.sock");
    engine::on_socket(&socket);
    let url = format!("unix://{}", socket.display());
    world.machine("m10", &url, |_| {});
    world.machine("m2", "unix:///nowhere.sock", |record| {
        record.engine.labels = vec!["app=web".to_owned()];
    });
    world.corrupt("broken");
    (world, url)
}

#[test]
fn shows_docker_machines_columns_in_natural_order() {
    let (world, url) = world();
    let mut command = world.command(["ls"]);
    command.env("DOCKER_HOST", &url);
    let out = Ran::of(&mut command).data();
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        lines[0],
        [
            "NAME", "ACTIVE", "DRIVER", "STATE", "URL", "SWARM", "DOCKER", "ERRORS"
        ]
    );
    assert_eq!(
        &lines[1][..5],
        ["broken", "-", "not found", "Error", "Unknown"]
    );
    assert!(lines[1][5].contains("config.json"), "{out}");
    assert_eq!(&lines[2][..3], ["m2", "-", "none"]);
    assert!(lines[2].contains(&"Unknown"), "{out}");
    assert!(lines[2].last().unwrap().contains("/nowhere.sock"), "{out}");
    assert_eq!(lines[3][..3], ["m10", "*", "none"]);
    assert!(lines[3].contains(&"v26.1.5"), "{out}");
}

#[test]
fn prints_names_and_no_more() {
    let (world, _) = world();
    assert_eq!(world.run(["ls", "-q"]).data(), "m2\nm10\n");
    let running = world.run(["ls", "-q", "--filter", "state=running"]);
    assert_eq!(running.data(), "m2\nm10\n");
    let stopped = world.run(["ls", "-q", "--filter", "state=stopped"]);
    assert_eq!(stopped.data(), "");
}

#[test]
fn filters() {
    let (world, _) = world();
    let names = |filters: &[&str]| {
        let mut args = vec!["ls", "-q"];
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        world.run(args).data()
    };
    assert_eq!(names(&["name=^m1"]), "m10\n");
    assert_eq!(names(&["name=^m1", "NAME=2$"]), "m2\nm10\n");
    assert_eq!(names(&["label=app"]), "m2\n");
    assert_eq!(names(&["label=app=web", "name=0"]), "");
    assert_eq!(names(&["driver=generic"]), "");
    let text = world.run(["ls", "--filter", "color=red"]).failure(2);
    assert!(text.contains("color"), "{text}");
    world.run(["ls", "--filter", "driver"]).failure(2);
}

#[test]
fn what_cannot_be_read_escapes_the_filters() {
    let (world, _) = world();
    let out = world.run([
        "ls",
        "--filter",
        "name=nosuch",
        "-f",
        "{{.Name}} {{.State}}",
    ]);
    assert_eq!(out.data(), "broken Error\n");
}

#[test]
fn formats() {
    let (world, _) = world();
    let out = world.run([
        "ls",
        "--filter",
        "name=m10",
        "-f",
        "table {{.Name}}\\t{{.DockerVersion}}",
    ]);
    assert_eq!(
        out.data(),
        "NAME     DOCKER\nbroken   Unknown\nm10      v26.1.5\n"
    );
    let out = world.run(["ls", "--format", "json"]).data();
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[2]["DockerVersion"], "v26.1.5");
    world.run(["ls", "-f", "{{.Nmae}}"]).failure(2);
    world.run(["ls", "-f", "{{"]).failure(2);
}

#[test]
fn a_half_made_machine_shows_how_far_it_came() {
    let world = World::new();
    world.machine("half", "unix:///nowhere.sock", |record| {
        let now = OffsetDateTime::now_utc();
        record.own.journal.begin(Phase::Provisioned, now);
        record
            .own
            .journal
            .failed(Phase::Provisioned, "disk full", now);
    });
    let out = world.run(["ls", "-f", "{{.Error}}"]).data();
    assert_eq!(
        out,
        "half-made, not Provisioned yet: disk full (rmachine create half goes on)\n"
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_no_reason_to_fail() {
    let (world, url) = world();
    world.machine("c1", &url, |_| {});
    std::fs::write(world.machine_dir("c1").join("server.pem"), "nonsense").unwrap();
    let out = world
        .run(["ls", "--filter", "name=c1", "-f", "{{.Name}}{{.Error}}"])
        .data();
    assert!(out.ends_with("c1\n"), "{out}");
}

#[test]
fn a_fresh_certificate_is_not_mentioned() {
    let (world, url) = world();
    world.machine("c1", &url, |_| {});
    let (authority, _) = Authority::create("me", KeyType::Ecdsa).unwrap();
    let server = authority
        .issue_server(&ServerRequest {
            name: "c1".to_owned(),
            organization: "me".to_owned(),
            sans: vec![San::from("127.0.0.1".to_owned())],
            client_auth: false,
            key: KeyType::Ecdsa,
        })
        .unwrap();
    std::fs::write(
        world.machine_dir("c1").join("server.pem"),
        server.certificate,
    )
    .unwrap();
    let out = world
        .run(["ls", "--filter", "name=c1", "-f", "{{.Name}}{{.Error}}"])
        .data();
    assert!(out.ends_with("c1\n"), "{out}");
}

#[test]
fn an_empty_store_is_no_error_and_stays_empty() {
    let world = World::new();
    let out = world.run(["ls"]).data();
    assert_eq!(
        out,
        "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"
    );
    assert!(!world.root().exists());
}

#[test]
fn the_active_machine_is_the_one_that_docker_host_names() {
    let (world, url) = world();
    let mut command = world.command(["active"]);
    command.env("DOCKER_HOST", &url);
    assert_eq!(Ran::of(&mut command).data(), "m10\n");
    let mut command = world.command(["active"]);
    command.env("DOCKER_HOST", "tcp://10.9.9.9:2376");
    Ran::of(&mut command).failure(1);
    let text = world.run(["active"]).failure(1);
    assert!(text.contains("DOCKER_HOST is not set"), "{text}");
}
