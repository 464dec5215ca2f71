//! What has to be done to bring a cluster to what its file says: a pure function of the two.
//!
//! `there` is what was found, `difference` says how a machine is other than the file wants it,
//! `order` what has to wait for what, and `shown` puts a plan into words.

mod difference;
mod order;
mod shown;
#[cfg(test)]
mod tests;
mod there;

use rmachine_driver::{MachineName, MachineState};
use rmachine_machine::Phase;

use crate::model::{Cluster, Member, Orchestrator};
use difference::Differences;

pub use there::{Found, Seen, There};

/// The steps to a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The cluster.
    pub cluster: MachineName,
    /// What joins its engines.
    pub orchestrator: Orchestrator,
    /// One for each machine of the file, in the order in which they are begun, then one for each
    /// further machine that the cluster owns.
    pub steps: Vec<Step>,
}

/// What becomes of one machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The machine.
    pub machine: MachineName,
    /// What is done.
    pub action: Action,
    /// Steps of a wave are done at the same time, and a wave begins when the one before has ended.
    pub wave: usize,
}

/// What is done with a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// It is made.
    Create,
    /// Work that was cut off goes on, at this phase.
    Resume(Phase),
    /// It is powered on.
    Start,
    /// It is brought to what the file says, in these points.
    Change {
        /// What is other than it was.
        what: Vec<String>,
        /// Whether it has to be powered on first.
        start: bool,
    },
    /// It is gone, though its record is there: it is made anew.
    Replace,
    /// Only a new machine could be what the file says, in these points. It stays as it is unless
    /// replacing it was asked for, because what is on it would be lost.
    Recreate(Vec<String>),
    /// It is as it should be.
    Keep,
    /// The file no longer names it: it is removed.
    Remove,
    /// The file no longer names it; it stays unless pruning was asked for.
    Extra,
    /// The file no longer names it, and it is gone already.
    Forget,
    /// It is not touched, for this reason.
    Refuse(String),
}

impl Action {
    /// Whether anything is done. What is refused is not, but it is told.
    pub fn acts(&self) -> bool {
        !matches!(self, Self::Keep | Self::Extra)
    }
}

impl Plan {
    /// The steps from what is there to what the file says.
    ///
    /// `prune` removes what the cluster owns and the file no longer names.
    pub fn new(cluster: &Cluster, there: &There, prune: bool) -> Self {
        let first = cluster.first_manager().map(|first| action(first, there));
        let mut wanted: Vec<_> = cluster
            .members
            .iter()
            .map(|member| (order::turn(cluster, member, first.as_ref()), member))
            .collect();
        wanted.sort_by_key(|(turn, _)| *turn);
        let wanted = wanted.into_iter().map(|((wave, _), member)| Step {
            machine: member.name().clone(),
            action: action(member, there),
            wave,
        });
        let mut further: Vec<&MachineName> = there
            .owned
            .keys()
            .filter(|name| cluster.member(name).is_none())
            .collect();
        further.sort_by(|a, b| natord::compare(a.as_str(), b.as_str()));
        let further = further.into_iter().map(|name| Step {
            machine: name.clone(),
            action: leftover(name, there, prune),
            wave: order::LAST,
        });
        Self {
            cluster: cluster.name.clone(),
            orchestrator: cluster.orchestrator,
            steps: wanted.chain(further).collect(),
        }
    }

    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.action.acts())
    }

    /// The steps at which something is done, wave by wave.
    pub fn waves(&self) -> Vec<Vec<Step>> {
        let mut waves = vec![Vec::new(); order::LAST + 1];
        for step in self.steps.iter().filter(|step| step.action.acts()) {
            waves[step.wave.min(order::LAST)].push(step.clone());
        }
        waves.retain(|wave| !wave.is_empty());
        waves
    }
}

fn action(member: &Member, there: &There) -> Action {
    let name = member.name();
    let owned = there.owned.get(name);
    let seen = match (there.machines.get(name), owned) {
        (None, _) => return Action::Create,
        (Some(Found::Unreadable(reason)), Some(_)) => return Action::Refuse(reason.clone()),
        (Some(_), None) => {
            return Action::Refuse(format!(
                "there is a machine {name} already, and it is none of this cluster's"
            ));
        }
        (Some(Found::Machine(seen)), Some(owned)) if owned.is(seen.since) => seen,
        (Some(Found::Machine(_)), Some(_)) => {
            return Action::Refuse(format!(
                "there is a machine {name} already, made by somebody else since"
            ));
        }
    };
    if seen.gone {
        return Action::Replace;
    }
    let differences = Differences::between(member, owned, seen);
    if !differences.lasting.is_empty() {
        return Action::Recreate(differences.lasting);
    }
    if let Some(phase) = seen.next {
        return Action::Resume(phase);
    }
    let off = matches!(
        seen.state,
        Some(MachineState::Stopped | MachineState::Paused | MachineState::Saved)
    );
    let start = off && seen.power;
    match (differences.changes.is_empty(), start) {
        (false, start) => Action::Change {
            what: differences.changes,
            start,
        },
        (true, true) => Action::Start,
        (true, false) => Action::Keep,
    }
}

fn leftover(name: &MachineName, there: &There, prune: bool) -> Action {
    let ours = match (there.machines.get(name), there.owned.get(name)) {
        (None, _) => false,
        (Some(Found::Machine(seen)), Some(owned)) => owned.is(seen.since),
        (Some(_), _) => true,
    };
    match (ours, prune) {
        (false, _) => Action::Forget,
        (true, true) => Action::Remove,
        (true, false) => Action::Extra,
    }
}
