use std::collections::BTreeMap;
use std::path::PathBuf;

use rmachine_driver::{FlagValue, MachineName};
use rmachine_machine::Record;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::model::{Cluster, Member, Orchestrator};

/// What is kept of a cluster: which machines it owns, and until when it is wanted.
///
/// A machine is noted before it is made and forgotten after it is removed, so that whatever is
/// left when a process ends is named here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterJournal {
    /// The version of this layout.
    version: u32,
    /// The file that the cluster was last brought up from.
    pub file: PathBuf,
    /// SHA-256 of that file's text.
    pub digest: String,
    /// What joins the engines.
    pub orchestrator: Orchestrator,
    /// Until when the cluster is wanted; `None` until it is taken down.
    pub lease: Option<Lease>,
    /// The machines that it owns.
    pub machines: BTreeMap<MachineName, Owned>,
}

/// Until when a cluster is wanted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Lease {
    /// Until this moment.
    Until(#[serde(with = "time::serde::rfc3339")] OffsetDateTime),
    /// As long as the process that holds the cluster's lock.
    Process,
}

/// A machine that a cluster owns.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Owned {
    /// The group that it was made for.
    pub group: String,
    /// Whether it is a manager: others need it when they leave.
    #[serde(default)]
    pub manager: bool,
    /// Whether it has a server of the cluster's store, which the others need when they leave.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store: bool,
    /// SHA-256 of each flag that the file gave to its driver. Values may be secrets.
    pub flags: BTreeMap<String, String>,
    /// When it was begun, by its own record: a later machine of the same name is not it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
}

impl ClusterJournal {
    /// The version that is written and read.
    pub(crate) const VERSION: u32 = 1;

    /// The journal of a cluster that owns nothing yet.
    pub fn new(cluster: &Cluster, file: PathBuf, lease: Option<Lease>) -> Self {
        Self {
            version: Self::VERSION,
            file,
            digest: cluster.digest.clone(),
            orchestrator: cluster.orchestrator,
            lease,
            machines: BTreeMap::new(),
        }
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// The machines in the order in which they can go: all of one list at the same time, managers
    /// after those that leave with their help, and those with the store last. Managers of swarm
    /// mode and servers of a store hand over to each other, so they go one by one.
    pub fn ways_out(&self) -> Vec<Vec<MachineName>> {
        let names = |store: bool, manager: bool| {
            let machines = self.machines.iter();
            let chosen = machines.filter(move |(_, owned)| {
                owned.store == store && (store || owned.manager == manager)
            });
            chosen.map(|(name, _)| name.clone())
        };
        let one_by_one = |name| vec![name];
        let mut ways = vec![names(false, false).collect::<Vec<_>>()];
        match self.orchestrator {
            Orchestrator::SwarmMode => ways.extend(names(false, true).rev().map(one_by_one)),
            Orchestrator::Classic | Orchestrator::None => ways.push(names(false, true).collect()),
        }
        ways.extend(names(true, false).rev().map(one_by_one));
        ways.retain(|way| !way.is_empty());
        ways
    }

    /// Whether the cluster is not wanted any more. The caller holds its lock, so no process that
    /// it was made for is alive.
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        match self.lease {
            None => false,
            Some(Lease::Until(end)) => end <= now,
            Some(Lease::Process) => true,
        }
    }
}

impl Owned {
    /// The note of a machine that is about to be made.
    pub(crate) fn of(member: &Member) -> Self {
        Self {
            group: member.group.clone(),
            manager: member.roles.manager,
            store: member.roles.store,
            flags: digests(&member.given),
            since: None,
        }
    }

    /// Whether a machine with this beginning is the one that was noted. One whose beginning is not
    /// known is.
    pub fn is(&self, since: Option<OffsetDateTime>) -> bool {
        match (self.since, since) {
            (Some(noted), Some(found)) => noted == found,
            _ => true,
        }
    }
}

/// When work on a machine began; not known of one that docker-machine wrote.
pub(crate) fn since(record: &Record) -> Option<OffsetDateTime> {
    record.own.journal.done_phases().first()?.at
}

/// The flags as a journal keeps them.
pub(crate) fn digests(given: &BTreeMap<String, FlagValue>) -> BTreeMap<String, String> {
    let digest = |(name, value): (&String, &FlagValue)| {
        let digest = Sha256::digest(format!("{value:?}").as_bytes());
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        (name.clone(), text)
    };
    given.iter().map(digest).collect()
}
