use crate::filter::View;
use crate::strategy::Candidate;
use crate::{Blocker, Expression, Filter, Holds, Node, Request, Resident, Strategy, Unschedulable};

/// Chooses nodes for containers.
#[derive(Clone, Debug)]
pub struct Scheduler {
    strategy: Strategy,
    filters: Vec<Filter>,
}

/// What one node came to.
enum Verdict {
    /// It will do.
    Fits { weight: i64, makes_room: bool },
    /// The filter with this number in the order refused it; one more than there are filters when
    /// it has too little for the container.
    Refused { after: usize },
}

impl Scheduler {
    /// A scheduler with these filters, in the order in which they are applied.
    pub fn new(strategy: Strategy, filters: impl Into<Vec<Filter>>) -> Self {
        Self {
            strategy,
            filters: filters.into(),
        }
    }

    /// How nodes are ranked.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// What nodes must pass.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The nodes where the container can go, the best first, as their places among `nodes`.
    ///
    /// Hard conditions hold on all of them. Soft ones are taken in their order, affinities before
    /// constraints before whitelists: each is kept unless no node would be left, so that one
    /// which cannot be had costs no other. (The original gave up all at once.) Nodes where
    /// other containers must first [make way](crate::Replacement) come in only where there are no
    /// others left.
    ///
    /// Whoever wants no two containers in one place must [reserve](Node::reserve) the node before
    /// the next choice. `random(n)` gives a number below `n`; only the random strategy asks.
    pub fn select<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a Node>,
        request: &Request,
        random: &mut impl FnMut(usize) -> usize,
    ) -> Result<Vec<usize>, Unschedulable> {
        let nodes: Vec<&Node> = nodes.into_iter().collect();
        let mut without_room = Vec::new();
        let mut candidates = Vec::new();
        let mut furthest = None;
        for (index, node) in nodes.iter().enumerate() {
            match self.judge(node, request) {
                Verdict::Fits { weight, makes_room } => {
                    let containers = node.residents().len();
                    let candidate = Candidate {
                        index,
                        weight,
                        containers,
                    };
                    if makes_room {
                        without_room.push(index);
                    }
                    candidates.push(candidate);
                }
                Verdict::Refused { after } => furthest = furthest.max(Some(after)),
            }
        }
        if candidates.is_empty() {
            return Err(self.explain(&nodes, request, furthest));
        }
        for (filter, wish) in self.wishes(request) {
            let grants = |candidate: &Candidate| filter.matches(nodes[candidate.index], wish);
            if candidates.iter().any(grants) {
                candidates.retain(grants);
            }
        }
        let has_room =
            |candidate: &Candidate| without_room.binary_search(&candidate.index).is_err();
        if candidates.iter().any(has_room) {
            candidates.retain(has_room);
        }
        self.strategy.rank(&mut candidates, random);
        Ok(candidates.iter().map(|candidate| candidate.index).collect())
    }

    fn judge(&self, node: &Node, request: &Request) -> Verdict {
        let as_it_is = self.judge_view(&View { node, absent: &[] }, request);
        if matches!(as_it_is, Verdict::Fits { .. }) || request.replaces.is_empty() {
            return as_it_is;
        }
        let absent = replaced(node, request);
        if absent.is_empty() {
            return as_it_is;
        }
        match self.judge_view(
            &View {
                node,
                absent: &absent,
            },
            request,
        ) {
            Verdict::Fits { weight, .. } => Verdict::Fits {
                weight,
                makes_room: true,
            },
            refused @ Verdict::Refused { .. } => refused,
        }
    }

    fn judge_view(&self, view: &View<'_>, request: &Request) -> Verdict {
        let refusing = self
            .filters
            .iter()
            .position(|filter| !filter.accepts(view, request));
        if let Some(after) = refusing {
            return Verdict::Refused { after };
        }
        match self.strategy.weigh(view, request) {
            Some(weight) => Verdict::Fits {
                weight,
                makes_room: false,
            },
            None => Verdict::Refused {
                after: self.filters.len(),
            },
        }
    }

    fn wishes<'a>(
        &'a self,
        request: &'a Request,
    ) -> impl Iterator<Item = (Filter, &'a Expression)> {
        self.filters.iter().flat_map(|&filter| {
            let expressions = filter.expressions(request).iter();
            expressions
                .filter(|expression| expression.is_soft())
                .map(move |expression| (filter, expression))
        })
    }

    /// Filters look at one node at a time, so the one that refuses the last node left is the one
    /// which the node that came furthest did not pass.
    fn explain(
        &self,
        nodes: &[&Node],
        request: &Request,
        furthest: Option<usize>,
    ) -> Unschedulable {
        let Some(furthest) = furthest else {
            return if self.filters.contains(&Filter::Health) {
                Unschedulable::NoHealthyNode
            } else {
                Unschedulable::NoNodes
            };
        };
        let failed = self.filters.get(furthest).copied();
        if failed == Some(Filter::Health) {
            return Unschedulable::NoHealthyNode;
        }
        let blockers = nodes
            .iter()
            .flat_map(|node| {
                let absent = replaced(node, request);
                let view = View {
                    node,
                    absent: &absent,
                };
                match self.judge_view(&view, request) {
                    Verdict::Refused { after } if after == furthest => match failed {
                        Some(filter) => filter.blockers(&view, request),
                        None => holding_resources(&view, request),
                    },
                    _ => Vec::new(),
                }
            })
            .take(Blocker::MOST)
            .collect();
        let Some(filter) = failed else {
            return Unschedulable::NoResources { blockers };
        };
        let conditions = self.filters[..=furthest]
            .iter()
            .map(|filter| (*filter, filter.conditions(request)))
            .collect();
        Unschedulable::Conditions {
            filter,
            conditions,
            blockers,
        }
    }
}

/// The containers of the node that make way for the new one.
fn replaced<'a>(node: &'a Node, request: &Request) -> Vec<&'a Resident> {
    let replaces = &request.replaces;
    if let Some(compose) = &replaces.compose {
        let (label, service) = compose.service_label();
        if node.labels().has(label, service) {
            return node
                .residents()
                .filter(|resident| replaces.covers(resident, &request.name))
                .collect();
        }
    }
    replaces
        .ids
        .iter()
        .filter_map(|id| node.resident(id))
        .collect()
}

/// Stopped containers without which there would be more of what is asked for.
fn holding_resources(view: &View<'_>, request: &Request) -> Vec<Blocker> {
    view.node
        .residents()
        .filter(|resident| resident.state.is_stopped() && !view.is_absent(&resident.id))
        .filter(|resident| {
            let held = view.node.weight_of(resident);
            (request.cpus > 0 && held.cpus > 0) || (request.memory > 0 && held.memory > 0)
        })
        .map(|resident| Blocker::new(view.node, resident, Holds::Resources))
        .collect()
}

#[cfg(test)]
mod tests;
