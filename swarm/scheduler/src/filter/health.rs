use crate::Node;

pub(super) fn accepts(node: &Node) -> bool {
    node.health() > 0
}
