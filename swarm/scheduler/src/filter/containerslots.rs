use super::View;
use crate::{Blocker, Holds};

pub(super) fn accepts(view: &View<'_>) -> bool {
    view.node.slots().is_none_or(|slots| {
        // More containers than that there are none.
        i64::try_from(view.count()).is_ok_and(|count| count < slots)
    })
}

pub(super) fn conditions() -> Vec<String> {
    vec!["available container slots".to_owned()]
}

/// Stopped containers hold slots like others, but could be removed.
pub(super) fn blockers(view: &View<'_>) -> Vec<Blocker> {
    view.node
        .residents()
        .filter(|resident| resident.state.is_stopped() && !view.is_absent(&resident.id))
        .map(|resident| Blocker::new(view.node, resident, Holds::Slot))
        .collect()
}
