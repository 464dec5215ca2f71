//! `container` means a container's id or its name, `image` an image's id, name or digest; any
//! other key a label of containers, which is empty for a container that has none.
//!
//! A node matches when one of its containers or images does; with `!=` when none does, so that
//! an empty node matches.

use super::with_softness;
use crate::{Expression, Node, Request};

pub(super) fn matches(node: &Node, expression: &Expression) -> bool {
    expression.holds(match expression.key() {
        "container" => expression.found_in(node.by_ids()) || expression.found_in(node.names()),
        "image" => expression.found_in(node.images().references()),
        key => has_label(node, key, expression),
    })
}

pub(super) fn conditions(request: &Request) -> Vec<String> {
    with_softness(&request.affinities)
}

fn has_label(node: &Node, key: &str, expression: &Expression) -> bool {
    let labels = node.labels().of(key);
    let bearers = labels.map_or(0, |labels| labels.bearers);
    labels.is_some_and(|labels| expression.found_in(&labels.values))
        || bearers < node.residents().len() && expression.describes("")
}
