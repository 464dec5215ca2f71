use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use crate::Request;
use crate::filter::View;

/// Which of the nodes that will do is the best.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strategy {
    /// The one with the most free, then with the fewest containers.
    #[default]
    Spread,
    /// The one with the least free, then with the most containers.
    Binpack,
    /// Any, also one that does not have the processors and memory asked for: for tests of a
    /// cluster.
    Random,
}

/// There is no strategy of this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("strategy not supported")]
pub struct UnknownStrategy;

/// What one failure of a node weighs: more than all of its processors and memory.
const HEALTH_FACTOR: i64 = 10;

/// A node that will do, among others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) index: usize,
    pub(crate) weight: i64,
    pub(crate) containers: usize,
}

impl Strategy {
    const ALL: [Self; 3] = [Self::Spread, Self::Binpack, Self::Random];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Binpack => "binpack",
            Self::Random => "random",
        }
    }

    /// What the node weighs with the container on it, unless it has too little for it.
    ///
    /// The original let a node be filled by up to a hundredth more than it has.
    pub(crate) fn weigh(self, view: &View<'_>, request: &Request) -> Option<i64> {
        let health = i64::from(view.node.health()) * HEALTH_FACTOR;
        let health = match self {
            Self::Spread => -health,
            Self::Binpack => health,
            Self::Random => return Some(0),
        };
        if request.cpus == 0 && request.memory == 0 {
            return Some(health + 2 * FULL);
        }
        let (used, total) = (view.used(), view.node.total());
        let cpus = percent(used.cpus, request.cpus, total.cpus)?;
        let memory = percent(used.memory, request.memory, total.memory)?;
        Some(health + cpus + memory)
    }

    /// Sorts nodes, the best first. Equal ones stay in their order.
    pub(crate) fn rank(
        self,
        candidates: &mut [Candidate],
        random: &mut impl FnMut(usize) -> usize,
    ) {
        match self {
            Self::Spread => candidates.sort_by_key(|it| (it.weight, it.containers)),
            Self::Binpack => {
                candidates.sort_by_key(|it| (Reverse(it.weight), Reverse(it.containers)));
            }
            Self::Random => {
                for left in (2..=candidates.len()).rev() {
                    candidates.swap(left - 1, random(left) % left);
                }
            }
        }
    }
}

const FULL: i64 = 100;

/// How full it gets; as full as can be where nothing is asked for.
fn percent(used: u64, wanted: u64, total: u64) -> Option<i64> {
    if wanted == 0 {
        return Some(FULL);
    }
    let used = used.checked_add(wanted).filter(|used| *used <= total)?;
    let percent = match used.checked_mul(100) {
        Some(hundredfold) => hundredfold / total,
        None => used / (total / 100),
    };
    i64::try_from(percent).ok()
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    /// Also knows `binpacking`, an early name of `binpack`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "binpacking" => Ok(Self::Binpack),
            _ => Self::ALL
                .into_iter()
                .find(|strategy| strategy.name() == name)
                .ok_or(UnknownStrategy),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("spread", Ok(Strategy::Spread)),
            ("binpack", Ok(Strategy::Binpack)),
            ("binpacking", Ok(Strategy::Binpack)),
            ("random", Ok(Strategy::Random)),
            ("Spread", Err(UnknownStrategy)),
            ("", Err(UnknownStrategy)),
        ];
        for (name, expected) in table {
            assert_eq!(name.parse(), expected, "{name}");
        }
        assert_eq!(UnknownStrategy.to_string(), "strategy not supported");
    }

    #[test]
    fn a_node_is_never_filled_beyond_what_it_has() {
        let table = [
            ((0, 0, 0), Some(100)),
            ((0, 0, 10), Some(100)),
            ((20, 0, 10), Some(100)),
            ((0, 1, 0), None),
            ((0, 1, 3), Some(33)),
            ((999, 1, 1000), Some(100)),
            ((1000, 1, 1000), None),
            ((1000, 9, 1000), None),
            ((u64::MAX, 1, u64::MAX), None),
            ((0, u64::MAX, u64::MAX), Some(100)),
            ((0, u64::MAX / 2, u64::MAX), Some(50)),
        ];
        for ((used, wanted, total), expected) in table {
            assert_eq!(
                percent(used, wanted, total),
                expected,
                "{used}+{wanted} of {total}"
            );
        }
    }
}
