//! What a person sees of the cluster.

use crate::lab::Image;
use crate::manager::Manager;
use crate::node::Node;
use crate::party::Party;

#[test]
fn engines_of_three_lines_are_one() {
    let party = Party::new();
    let Some(one) = Node::start(&party, "node1", Image::Bookworm, "--label zone=a") else {
        return;
    };
    let two = Node::start(&party, "node2", Image::Trixie, "--label zone=b").unwrap();
    let three = Node::start(&party, "node3", Image::Sid, "--label zone=b").unwrap();
    let manager = Manager::start(&party, &[one.entry(), two.entry(), three.entry()], &[]);

    let info = manager.docker("info").ok();
    for line in [
        " Role: primary",
        " Strategy: spread",
        " Filters: health, port, containerslots, dependency, affinity, constraint, whitelist",
        " Nodes: 3",
        &format!("  node1: {}", one.entry()),
        "   └ Status: Healthy",
        "   └ Containers: 0 (0 Running, 0 Paused, 0 Stopped)",
        "   └ ServerVersion: 20.10.24+dfsg1",
        "   └ ServerVersion: 26.1.5+dfsg1",
        "   └ ServerVersion: 28.5.2+dfsg4",
    ] {
        assert!(info.contains(line), "{line:?} is not in\n{info}");
    }
    let order: Vec<usize> = [&one, &two, &three]
        .map(|node| info.find(&format!("{}: ", node.name)).unwrap())
        .to_vec();
    assert!(order.is_sorted(), "{info}");
}
