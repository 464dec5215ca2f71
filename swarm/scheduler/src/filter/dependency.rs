use crate::{Dependency, Node, Request};

pub(super) fn accepts(node: &Node, request: &Request) -> bool {
    request
        .dependencies
        .iter()
        .all(|dependency| node.find(&dependency.container).is_some())
}

pub(super) fn conditions(request: &Request) -> Vec<String> {
    request
        .dependencies
        .iter()
        .map(Dependency::to_string)
        .collect()
}
