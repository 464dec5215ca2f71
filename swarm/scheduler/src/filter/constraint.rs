//! `node` means the node's name or id, any other key a label, which is empty where there is none.

use crate::{Expression, Node, Request};

pub(super) fn matches(node: &Node, expression: &Expression) -> bool {
    if expression.key() != "node" {
        let label = node.spec().labels.get(expression.key());
        return expression.holds(expression.describes(label.map_or("", String::as_str)));
    }
    let spec = node.spec();
    expression.holds(if is_full_id(expression.value()) {
        spec.id == expression.value()
    } else {
        [spec.name.as_str(), &spec.id, spec.bare_id()]
            .iter()
            .any(|text| expression.describes(text))
    })
}

pub(super) fn conditions(request: &Request) -> Vec<String> {
    request.constraints.iter().map(Expression::bare).collect()
}

/// Whether the text is `ID|host:port`. As a pattern it would also mean all that begins with the
/// id: the clones of an engine, which the address is there to tell apart.
fn is_full_id(value: &str) -> bool {
    value
        .split_once('|')
        .and_then(|(_, addr)| addr.rsplit_once(':'))
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}
