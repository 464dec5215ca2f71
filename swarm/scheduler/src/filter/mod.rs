//! What a node must be like for a container to go there.
//!
//! A filter looks at one node at a time and knows nothing of the others.

mod affinity;
mod constraint;
mod containerslots;
mod dependency;
mod health;
mod port;
mod whitelist;

use std::fmt;
use std::str::FromStr;

use crate::node::Resources;
use crate::{Blocker, Expression, Node, Request, Resident};

/// A filter, by its name on the command line.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Filter {
    /// The node answers.
    Health,
    /// The ports of the host that are asked for are free.
    Port,
    /// The node takes one more container.
    ContainerSlots,
    /// The containers that the new one needs are there.
    Dependency,
    /// Conditions on the node's containers and images.
    Affinity,
    /// Conditions on the node's labels.
    Constraint,
    /// The node is one of those listed.
    Whitelist,
}

/// There is no filter of this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("filter not supported")]
pub struct UnknownFilter;

/// A node without the containers that make way for the new one.
pub(crate) struct View<'a> {
    pub(crate) node: &'a Node,
    pub(crate) absent: &'a [&'a Resident],
}

impl View<'_> {
    pub(crate) fn is_absent(&self, id: &str) -> bool {
        self.absent.iter().any(|resident| *resident.id == *id)
    }

    pub(crate) fn count(&self) -> usize {
        self.node.residents().len() - self.absent.len()
    }

    pub(crate) fn used(&self) -> Resources {
        self.absent.iter().fold(self.node.used(), |used, resident| {
            used.minus(self.node.weight_of(resident))
        })
    }
}

impl Filter {
    /// All filters, in the order in which they are applied unless others are named.
    pub const ALL: [Self; 7] = [
        Self::Health,
        Self::Port,
        Self::ContainerSlots,
        Self::Dependency,
        Self::Affinity,
        Self::Constraint,
        Self::Whitelist,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Port => "port",
            Self::ContainerSlots => "containerslots",
            Self::Dependency => "dependency",
            Self::Affinity => "affinity",
            Self::Constraint => "constraint",
            Self::Whitelist => "whitelist",
        }
    }

    /// Whether the container may go there, soft expressions left aside.
    pub(crate) fn accepts(self, view: &View<'_>, request: &Request) -> bool {
        match self {
            Self::Health => health::accepts(view.node),
            Self::Port => port::accepts(view, request),
            Self::ContainerSlots => containerslots::accepts(view),
            Self::Dependency => dependency::accepts(view.node, request),
            Self::Affinity | Self::Constraint | Self::Whitelist => self
                .expressions(request)
                .iter()
                .filter(|expression| !expression.is_soft())
                .all(|expression| self.matches(view.node, expression)),
        }
    }

    /// The expressions of the request that are for this filter.
    pub(crate) fn expressions(self, request: &Request) -> &[Expression] {
        match self {
            Self::Affinity => &request.affinities,
            Self::Constraint => &request.constraints,
            Self::Whitelist => &request.whitelists,
            Self::Health | Self::Port | Self::ContainerSlots | Self::Dependency => &[],
        }
    }

    /// Whether one of its expressions holds for the node.
    pub(crate) fn matches(self, node: &Node, expression: &Expression) -> bool {
        match self {
            Self::Affinity => affinity::matches(node, expression),
            Self::Constraint => constraint::matches(node, expression),
            Self::Whitelist => whitelist::matches(node, expression),
            Self::Health | Self::Port | Self::ContainerSlots | Self::Dependency => true,
        }
    }

    /// What it asks for, in the words of the original.
    pub(crate) fn conditions(self, request: &Request) -> Vec<String> {
        match self {
            Self::Health => Vec::new(),
            Self::Port => port::conditions(request),
            Self::ContainerSlots => containerslots::conditions(),
            Self::Dependency => dependency::conditions(request),
            Self::Affinity => affinity::conditions(request),
            Self::Constraint => constraint::conditions(request),
            Self::Whitelist => whitelist::conditions(request),
        }
    }

    /// The containers that keep the node from being accepted.
    pub(crate) fn blockers(self, view: &View<'_>, request: &Request) -> Vec<Blocker> {
        match self {
            Self::Port => port::blockers(view, request),
            Self::ContainerSlots => containerslots::blockers(view),
            _ => Vec::new(),
        }
    }
}

impl FromStr for Filter {
    type Err = UnknownFilter;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|filter| filter.name() == name)
            .ok_or(UnknownFilter)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Expressions as error texts show them.
fn with_softness(expressions: &[Expression]) -> Vec<String> {
    expressions
        .iter()
        .map(|expression| format!("{} (soft={})", expression.bare(), expression.is_soft()))
        .collect()
}

#[cfg(test)]
mod tests;
