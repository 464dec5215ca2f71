//! The nodes in `docker info`.

use std::sync::Arc;

use super::info::{NodeReport, Sums, lines};
use crate::cluster::{NodeStatus, NodeView};

/// What is shown of the nodes, kept from one question to the next: most have not changed by then.
#[derive(Default)]
pub struct Tree {
    /// By address.
    nodes: Vec<Shown>,
    /// The same in the natural order of their names.
    order: Vec<usize>,
}

struct Shown {
    node: NodeView,
    lines: Arc<str>,
}

impl Tree {
    /// Takes over the nodes as they are now, which come by their addresses.
    ///
    /// # Errors
    /// When something cannot be written as JSON.
    pub fn update(&mut self, nodes: Vec<NodeView>) -> serde_json::Result<()> {
        let mut before = std::mem::take(&mut self.nodes).into_iter().peekable();
        let mut are_named_alike = self.order.len() == nodes.len();
        for node in nodes {
            while before.next_if(|old| old.node.addr < node.addr).is_some() {}
            let old = before.next_if(|old| old.node.addr == node.addr);
            are_named_alike &= old
                .as_ref()
                .is_some_and(|old| name(&old.node) == name(&node));
            let lines = match old {
                Some(old) if old.node == node => old.lines,
                _ => lines(&report(&node))?.into(),
            };
            self.nodes.push(Shown { node, lines });
        }
        if !are_named_alike {
            let nodes = &self.nodes;
            self.order = (0..nodes.len()).collect();
            self.order.sort_by(|&one, &other| {
                let (one, other) = (&nodes[one].node, &nodes[other].node);
                natord::compare(name(one), name(other)).then_with(|| one.addr.cmp(&other.addr))
            });
        }
        Ok(())
    }

    /// The lines of each node, in the natural order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let nodes = self.order.iter();
        nodes.filter_map(|&index| self.nodes.get(index).map(|shown| &*shown.lines))
    }

    /// What they come to.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for Shown { node, .. } in &self.nodes {
            let counts = [node.counts.running, node.counts.paused, node.counts.stopped];
            for (sum, count) in sums.containers.iter_mut().zip(counts) {
                *sum = sum.saturating_add(count);
            }
            sums.nodes += 1;
            sums.images = sums.images.saturating_add(node.images);
            sums.cpus = sums.cpus.saturating_add(node.total.cpus);
            sums.memory = sums.memory.saturating_add(node.total.memory);
        }
        sums
    }
}

fn name(node: &NodeView) -> &str {
    node.about.as_deref().map_or("", |about| &about.name)
}

fn report(node: &NodeView) -> NodeReport<'_> {
    let about = node.about.as_deref();
    NodeReport {
        name: about.map_or("", |about| &about.name),
        addr: &node.addr,
        id: about.map_or("", |about| &about.id),
        status: node.status.as_str(),
        containers: [node.counts.running, node.counts.paused, node.counts.stopped],
        healthy: node.status == NodeStatus::Healthy,
        cpus: (node.reserved.cpus, node.total.cpus),
        memory: (node.reserved.memory, node.total.memory),
        labels: about.map(|about| &about.labels),
        error: node.error.as_deref(),
        updated_at: node.updated_at,
        version: about.map_or("", |about| &about.version),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rswarm_scheduler::node::{Counts, Resources};

    use super::*;

    fn node(addr: &str, running: usize) -> NodeView {
        NodeView {
            addr: addr.into(),
            about: None,
            status: NodeStatus::Pending,
            counts: Counts {
                running,
                ..Counts::default()
            },
            images: 1,
            reserved: Resources::default(),
            total: Resources { cpus: 2, memory: 4 },
            error: None,
            updated_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn addresses(tree: &Tree) -> Vec<String> {
        let addr = |lines: &str| lines.split('"').nth(3).unwrap().to_owned();
        tree.nodes().map(addr).collect()
    }

    #[test]
    fn nodes_come_go_and_change() {
        let mut tree = Tree::default();
        for (nodes, sum) in [
            (vec![("a:1", 1), ("c:1", 2)], 3),
            (vec![("a:1", 1), ("b:1", 5), ("c:1", 2)], 8),
            (vec![("b:1", 5), ("c:1", 3)], 8),
            (vec![], 0),
            (vec![("d:1", 1)], 1),
        ] {
            let views = nodes.iter().map(|(addr, count)| node(addr, *count));
            tree.update(views.collect()).unwrap();
            let expected: Vec<_> = nodes.iter().map(|(addr, _)| (*addr).to_owned()).collect();
            assert_eq!(addresses(&tree), expected);
            assert_eq!(tree.sums().containers, [sum, 0, 0]);
            assert_eq!(tree.sums().cpus, 2 * expected.len() as u64);
            let shown = tree.nodes().zip(&nodes);
            for (lines, (_, count)) in shown {
                assert!(lines.contains(&format!("\"{count}\"")), "{lines}");
            }
        }
    }

    #[test]
    fn what_has_not_changed_is_not_written_again() {
        let mut tree = Tree::default();
        tree.update(vec![node("a:1", 1), node("b:1", 1)]).unwrap();
        let before: Vec<_> = tree.nodes.iter().map(|it| Arc::clone(&it.lines)).collect();
        tree.update(vec![node("a:1", 1), node("b:1", 2)]).unwrap();
        let same = tree.nodes.iter().zip(&before);
        let same: Vec<_> = same
            .map(|(now, old)| Arc::ptr_eq(&now.lines, old))
            .collect();
        assert_eq!(same, [true, false]);
    }
}
