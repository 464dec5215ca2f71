//! docker-compose, in both of its lines, with an engine that stands alone and with a cluster.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rmachine_test_support::skip;

use crate::client::Client;
use crate::lab::{Image, Ran, lab};
use crate::manager::Manager;
use crate::node::Node;
use crate::party::Party;
use crate::step::{self, Step, cluster, same, unordered};

/// A build, links, a volume, a fixed port of the host, and a network that takes no store.
const FILE: &str = r#"
version: "2.4"
services:
  db:
    image: tiny:1
    command: sleep 600
    stop_signal: SIGKILL
    volumes:
      - kept:/data
  web:
    build:
      context: .
      args:
        WORD: built
    command: sh -c 'echo $$GREETING; exec sleep 600'
    stop_signal: SIGKILL
    environment:
      GREETING: first
    ports:
      - "18180:80"
    links:
      - db:store
    depends_on:
      - db
volumes:
  kept: {}
networks:
  default:
    driver: bridge
"#;

const DOCKERFILE: &str = "FROM tiny:1\nARG WORD\nRUN echo $WORD >/word\nCOPY version /version\n";

/// `quiet` shows what a command printed only when it failed: compose tells its progress in the order
/// of it. `logs` shows what services have said.
/// The version of the API is the one that a cluster with an engine 20.10 has: compose v1 cannot
/// create a container anew with the version that newer engines have by themselves.
const FIRST: &str = r#"
    quiet() { "$@" >log 2>&1 || { cat log; return 1; }; }
    logs() { $COMPOSE logs --no-color "$@" 2>&1 | sed -n 's/.*| //p'; }
    export DOCKER_API_VERSION=1.41 COMPOSE_API_VERSION=1.41
"#;

const STEPS: &[Step] = &[
    same("quiet $COMPOSE config -q"),
    same("quiet $COMPOSE up -d"),
    unordered("$COMPOSE ps --services"),
    same("$COMPOSE ps -q | wc -l"),
    same("docker ps --format '{{.Names}} {{.State}} {{.Ports}}' | sort"),
    same("$COMPOSE port web 80"),
    same("docker network ls --filter type=custom --format '{{.Name}} {{.Driver}}'"),
    same("said logs web"),
    same("$COMPOSE exec -T web cat /word /version"),
    same("$COMPOSE exec -T db sh -c 'echo kept >/data/file'"),
    same("$COMPOSE run --rm -T web echo ran 2>/dev/null"),
    // All of a project has to be where its network is.
    cluster(
        "docker inspect -f '{{.Node.Name}}' $(docker ps -q) | sort -u | wc -l",
        0,
        &["1\n"],
    ),
    // More and fewer.
    same("quiet $COMPOSE up -d --scale db=3"),
    same("docker ps --format '{{.Names}}' | sort"),
    same("quiet $COMPOSE scale db=1"),
    same("docker ps --format '{{.Names}}' | sort"),
    // Nothing has changed: nothing happens.
    same("before=$(docker ps -q); quiet $COMPOSE up -d && test \"$before\" = \"$(docker ps -q)\""),
    same("quiet $COMPOSE restart -t 0 web"),
    same("quiet $COMPOSE stop -t 0 web"),
    same("docker ps -a --filter status=exited --format '{{.Names}}'"),
    same("quiet $COMPOSE start"),
    same("quiet $COMPOSE pause db && docker ps --filter status=paused --format '{{.Names}}'"),
    same("quiet $COMPOSE unpause db"),
    // What has changed is created anew, and wants the port that its predecessor still holds.
    same(
        "before=$(docker ps -q); sed -i s/first/second/ docker-compose.yml && quiet $COMPOSE up -d \
         && test \"$before\" != \"$(docker ps -q)\"",
    ),
    same("docker ps -a --format '{{.Names}} {{.State}} {{.Ports}}' | sort"),
    same("said logs web"),
    same("echo newer >version && quiet $COMPOSE up -d --build"),
    same("$COMPOSE exec -T web cat /word /version"),
    same("quiet $COMPOSE up -d --force-recreate"),
    same("$COMPOSE exec -T db cat /data/file"),
    same("docker ps -a --format '{{.Names}} {{.State}} {{.Ports}}' | sort"),
    same("quiet $COMPOSE kill web && quiet $COMPOSE rm -f web"),
    same("docker ps -a --format '{{.Names}}'"),
    same("quiet $COMPOSE down -v --rmi local"),
    // Every node got the volume, and v2 removes one: each has a name of its own in the list.
    same("docker volume rm -f shop_kept >log 2>&1; true"),
    same("docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom"),
    same("docker images -q 'shop*'"),
];

#[test]
fn compose_runs_projects_on_a_cluster() {
    if lab().is_none() {
        return;
    }
    let programs = programs();
    let party = Party::new();
    let [alone, one, two] = hosts(&party);
    let manager = Manager::start(&party, &[one.entry(), two.entry()], &[]);
    let engine = Client::new(&party, &alone.entry());
    for line in ["1", "2"] {
        let Some(program) = programs
            .iter()
            .find(|(version, _)| version.starts_with(line))
        else {
            skip(&format!(
                "there is no docker-compose of line {line} on the PATH"
            ));
            continue;
        };
        let first = format!("COMPOSE='{} -p shop'; {FIRST}", program.1.display());
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [engines, clusters] = dirs.each_ref().map(|dir| {
            project(dir.path());
            dir.path()
        });
        step::hold(
            STEPS,
            &first,
            (&engine, engines),
            (manager.client(), clusters),
        );
    }
    assert!(!manager.log().contains("panicked"), "{}", manager.log());
}

/// An engine to stand alone, and two for the cluster.
fn hosts(party: &Party) -> [Node; 3] {
    let wanted = [
        ("alone", Image::Trixie),
        ("node1", Image::Bookworm),
        ("node2", Image::Trixie),
    ];
    thread::scope(|scope| {
        let started = wanted
            .map(|(name, image)| scope.spawn(move || Node::start(party, name, image, "").unwrap()));
        started.map(|node| node.join().unwrap())
    })
}

fn project(dir: &Path) {
    for (name, content) in [
        ("docker-compose.yml", FILE),
        ("Dockerfile", DOCKERFILE),
        ("version", "old\n"),
    ] {
        fs::write(dir.join(name), content).unwrap();
    }
}

/// Every docker-compose on the PATH, with its version.
fn programs() -> Vec<(String, PathBuf)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = env::split_paths(&path).map(|dir| dir.join("docker-compose"));
    let programs = programs.filter(|program| program.is_file());
    let found = programs.map(|program| {
        let mut command = Command::new("timeout");
        command.arg("20").arg(&program).args(["version", "--short"]);
        (Ran::of(&mut command).ok(), program)
    });
    found.collect()
}
