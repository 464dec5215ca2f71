use crate::model::{Cluster, Member, Orchestrator};

const STORES: usize = 0;
const FIRST_MANAGER: usize = 1;
const REST: usize = 2;

/// What goes, goes when those that take its place are there.
pub(super) const LAST: usize = 3;

/// When a machine's turn is: stores, then the manager that others join, then the rest. Machines
/// that do not need each other have the same turn.
pub(super) fn wave(cluster: &Cluster, member: &Member) -> usize {
    if member.roles.store {
        return STORES;
    }
    // Who knows a store from the beginning waits for nobody.
    let waits = match cluster.orchestrator {
        Orchestrator::Classic => cluster.discovery.is_none(),
        Orchestrator::SwarmMode => true,
        Orchestrator::None => false,
    };
    let first = cluster.first_manager().map(Member::name);
    match waits && first != Some(member.name()) {
        true => REST,
        false => FIRST_MANAGER,
    }
}
