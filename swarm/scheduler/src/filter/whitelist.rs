//! The value lists names of nodes with bars between them. The key and the operator say nothing.

use super::with_softness;
use crate::{Expression, Node, Request};

pub(super) fn matches(node: &Node, expression: &Expression) -> bool {
    expression
        .value()
        .split('|')
        .any(|name| name == node.spec().name)
}

pub(super) fn conditions(request: &Request) -> Vec<String> {
    with_softness(&request.whitelists)
}
