use super::Action;
use crate::model::{Cluster, Member, Orchestrator};

const MANAGER_ALONE: usize = 0;
const FIRST_STORE: usize = 1;
const STORES: usize = 2;
const MACHINES: usize = 3;

/// What goes, goes when those that take its place are there.
pub(super) const LAST: usize = 4;

/// When a machine's turn is, and its place among those whose turn is the same: the servers of a
/// store, which join the first one, then all others at once, the manager that they join before
/// them.
///
/// A machine waits by itself for the manager that it joins, once there is nothing else left to do;
/// for that, the manager has to have been begun. One that has to go before it comes again, or
/// that will not be touched, has a turn of its own: nobody must join what is there in its place.
pub(super) fn turn(cluster: &Cluster, member: &Member, first: Option<&Action>) -> (usize, bool) {
    let is = |other: Option<&Member>| other.map(Member::name) == Some(member.name());
    let joined = match cluster.orchestrator {
        // Who knows a store from the beginning waits for nobody.
        Orchestrator::Classic => cluster.discovery.is_none(),
        Orchestrator::SwarmMode => true,
        Orchestrator::None => false,
    };
    if joined && is(cluster.first_manager()) {
        let alone = matches!(
            first,
            Some(Action::Replace | Action::Recreate(_) | Action::Refuse(_))
        );
        // A server of the store may join it, too.
        return match (alone, cluster.first_store()) {
            (true, _) => (MANAGER_ALONE, false),
            (false, Some(_)) => (FIRST_STORE, false),
            (false, None) => (MACHINES, false),
        };
    }
    match member.roles.store {
        true if is(cluster.first_store()) => (FIRST_STORE, true),
        true => (STORES, true),
        false => (MACHINES, !is(cluster.first_manager())),
    }
}
