//! A container's life, through the manager.

use crate::lab::{Image, Ran};
use crate::manager::Manager;
use crate::node::{Node, TINY};
use crate::party::Party;

#[test]
fn containers_live_where_the_conditions_hold() {
    let party = Party::new();
    let Some(one) = Node::start(&party, "node1", Image::Bookworm, "--label zone=a") else {
        return;
    };
    let two = Node::start(&party, "node2", Image::Trixie, "--label zone=b").unwrap();
    let manager = Manager::start(&party, &[one.entry(), two.entry()], &[]);

    let run = |words: &str| manager.docker(&format!("run {words}"));
    assert_eq!(run(&format!("--rm {TINY} echo hello")).ok(), "hello");
    run(&format!(
        "-d --name web -e constraint:zone==a {TINY} sleep 600"
    ))
    .ok();
    run(&format!(
        "-d --name db -e constraint:zone==b {TINY} sleep 600"
    ))
    .ok();
    run(&format!(
        "-d --name cache -e affinity:container==db {TINY} sleep 600"
    ))
    .ok();
    let node = |name: &str| {
        manager
            .docker(&format!("inspect -f '{{{{.Node.Name}}}}' {name}"))
            .ok()
    };
    assert_eq!(
        [node("web"), node("db"), node("cache")],
        ["node1", "node2", "node2"]
    );

    let names = manager.docker("ps --format '{{.Names}}'").ok();
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["node1/web", "node2/cache", "node2/db"]);

    let refused = run(&format!("-d -e constraint:zone==c {TINY} sleep 1"));
    assert!(
        refused
            .err
            .contains("Unable to find a node that satisfies the following conditions"),
        "{refused:?}"
    );
    let taken = run(&format!("-d --name web {TINY} sleep 1"));
    assert!(
        taken.err.contains("The name web is already assigned"),
        "{taken:?}"
    );

    assert_eq!(manager.docker("exec node1/web hostname -s").code, 0);
    assert_eq!(
        manager
            .docker_fed("exec -i web cat", "through and back")
            .ok(),
        "through and back"
    );
    assert_eq!(
        code(&manager.docker(&format!("run --rm {TINY} sh -c 'exit 7'"))),
        7
    );
    run(&format!(
        "--name talks {TINY} sh -c 'echo one; echo two >&2'"
    ))
    .ok();
    let said = manager.docker("logs talks");
    assert_eq!((said.out.trim(), said.err.trim()), ("one", "two"));

    manager.docker("stop -t 0 web").ok();
    assert_eq!(
        manager.docker("inspect -f '{{.State.Running}}' web").ok(),
        "false"
    );
    manager.docker("start web").ok();
    manager.docker("rename web renamed").ok();
    manager.docker("rm -f renamed db node2/cache talks").ok();
    assert_eq!(manager.docker("ps -aq").ok(), "");
}

fn code(ran: &Ran) -> i32 {
    ran.code
}
