//! A session of Docker's client: every command once with an engine that stands alone, and once with a
//! cluster of engines of three lines. What the cluster prints is held against what the engine prints.

mod containers;
mod everything;
mod images;
mod networks;
mod refused;

use std::fs;
use std::path::Path;
use std::thread;

use crate::client::Client;
use crate::lab::Image;
use crate::manager::Manager;
use crate::node::{Node, TINY};
use crate::party::Party;
use crate::step;

#[test]
fn a_cluster_answers_as_an_engine_does() {
    let party = Party::new();
    let Some([alone, one, two, three]) = hosts(&party) else {
        return;
    };
    let manager = Manager::start(&party, &[one.entry(), two.entry(), three.entry()], &[]);
    let engine = Client::new(&party, &alone.entry());

    let steps = [
        images::STEPS,
        containers::STEPS,
        networks::STEPS,
        everything::STEPS,
        refused::STEPS,
    ]
    .concat();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    prepare(&engine, dirs[0].path());
    let image = "app.tar";
    fs::copy(dirs[0].path().join(image), dirs[1].path().join(image)).unwrap();
    fs::write(dirs[1].path().join("in.txt"), "in\n").unwrap();

    let [engines, clusters] = dirs.each_ref().map(tempfile::TempDir::path);
    step::hold(&steps, "", (&engine, engines), (manager.client(), clusters));
    assert!(!manager.log().contains("panicked"), "{}", manager.log());
}

/// An engine to stand alone, and three for the cluster. The second of those is of the line of the one
/// that stands alone.
fn hosts(party: &Party) -> Option<[Node; 4]> {
    crate::lab::lab()?;
    let wanted = [
        ("alone", Image::Trixie, ""),
        ("node1", Image::Bookworm, "--label zone=a"),
        ("node2", Image::Trixie, "--label zone=b"),
        ("node3", Image::Sid, "--label zone=c"),
    ];
    let nodes = thread::scope(|scope| {
        let started = wanted.map(|(name, image, options)| {
            scope.spawn(move || Node::start(party, name, image, options).unwrap())
        });
        started.map(|node| node.join().unwrap())
    });
    Some(nodes)
}

/// Makes what the session begins with: an image as a file, and a file.
fn prepare(engine: &Client, dir: &Path) {
    let line =
        format!("docker tag {TINY} app:1 && docker save -o app.tar app:1 && docker rmi app:1");
    engine.shell(&line, dir).ok();
    fs::write(dir.join("in.txt"), "in\n").unwrap();
}
