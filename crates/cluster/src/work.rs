use rmachine_driver::{MachineName, Report, Secrets};
use rmachine_lifecycle::{LifecycleError, Machines, OnFailure, Removal};
use rmachine_machine::{Phase, StoreError};
use time::OffsetDateTime;

use crate::journal::{Owned, since};
use crate::model::{Cluster, Member};
use crate::plan::{Action, Step};
use crate::{ClusterError, ClusterGuard, bounds};

/// The work on a cluster: does the steps of its plan, several of them at once where the plan
/// allows it.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The cluster as it is to become.
    pub cluster: &'a Cluster,
    /// Its journal, held.
    pub guard: &'a ClusterGuard,
    /// The machines.
    pub machines: &'a Machines,
    /// Whether a machine may be replaced that is other than the file wants it.
    pub recreate: bool,
}

/// What became of a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Done {
    /// It was made, or made to its end; its engine's URL.
    Made(String),
    /// It was brought to what the file says.
    Changed,
    /// It was powered on.
    Started,
    /// It is gone.
    Removed,
    /// Nothing had to be done.
    Nothing,
}

impl Work<'_> {
    /// Does one step.
    ///
    /// # Errors
    /// Of this machine alone. What was made stays, and the next run goes on with it.
    pub async fn step(
        &self,
        step: &Step,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Done, ClusterError> {
        let name = &step.machine;
        match (&step.action, self.cluster.member(name)) {
            (Action::Create, Some(member)) => self.make(member, None, report, secrets).await,
            (Action::Resume(_), Some(member)) => {
                let journal = self.guard.journal();
                let owned = journal.and_then(|journal| journal.machines.get(name).cloned());
                let begun = owned.and_then(|owned| owned.since);
                self.make(member, begun, report, secrets).await
            }
            (Action::Start, _) => {
                self.machines.start(name, report, secrets).await?;
                Ok(Done::Started)
            }
            (Action::Change { start, .. }, Some(member)) => {
                if *start {
                    self.machines.start(name, report, secrets).await?;
                }
                self.change(member, report, secrets).await
            }
            (Action::Recreate(what), Some(_)) if !self.recreate => Err(ClusterError::NeedsNew {
                name: name.clone(),
                what: what.clone(),
            }),
            (Action::Replace | Action::Recreate(_), Some(member)) => {
                report.step("removing what is to be replaced");
                remove_machine(self.guard, self.machines, name, false, report, secrets).await?;
                self.make(member, None, report, secrets).await
            }
            (Action::Remove | Action::Forget, _) => {
                remove_machine(self.guard, self.machines, name, false, report, secrets).await?;
                Ok(Done::Removed)
            }
            (Action::Refuse(reason), _) => Err(ClusterError::Refused {
                name: name.clone(),
                reason: reason.clone(),
            }),
            // Those that act on a machine of the file have one.
            _ => Ok(Done::Nothing),
        }
    }

    /// Makes a machine, or goes on with the one that was begun then.
    async fn make(
        &self,
        member: &Member,
        begun: Option<OffsetDateTime>,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Done, ClusterError> {
        let name = member.name();
        let journal = self.guard.journal();
        let known = journal.is_some_and(|journal| journal.machines.contains_key(name));
        // Before the first thing of it exists.
        let owned = Owned {
            since: begun,
            ..Owned::of(member)
        };
        self.note(owned, name)?;
        let made = self
            .machines
            .create(&member.spec, OnFailure::Keep, report, secrets)
            .await;
        match made {
            Ok(created) => {
                self.note_beginning(member)?;
                Ok(Done::Made(created.url))
            }
            Err(LifecycleError::Store(StoreError::Exists { name })) => {
                // Somebody made it in the meantime: then it is theirs.
                if !known {
                    self.forget(&name)?;
                }
                Err(StoreError::Exists { name }.into())
            }
            Err(error) => {
                self.note_beginning(member)?;
                Err(error.into())
            }
        }
    }

    /// Sets the machine back to before its provisioning, and makes it to its end again: whoever is
    /// cut off in between leaves a machine that says how far it is.
    async fn change(
        &self,
        member: &Member,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Done, ClusterError> {
        let store = self.machines.store();
        let guard = store.edit(member.name(), bounds::MACHINE_LOCK)?;
        guard.begin(Phase::Provisioned)?;
        drop(guard);
        let made = self
            .machines
            .create(&member.spec, OnFailure::Keep, report, secrets)
            .await;
        made?;
        Ok(Done::Changed)
    }

    fn note(&self, owned: Owned, name: &MachineName) -> Result<(), ClusterError> {
        self.guard.update(|journal| {
            journal.machines.insert(name.clone(), owned);
        })
    }

    fn forget(&self, name: &MachineName) -> Result<(), ClusterError> {
        self.guard.update(|journal| {
            journal.machines.remove(name);
        })
    }

    /// Notes by which beginning the machine is known again.
    fn note_beginning(&self, member: &Member) -> Result<(), ClusterError> {
        let record = match self.machines.store().load(member.name()) {
            Ok(record) => record,
            // A machine for which nothing was made yet leaves nothing behind when it fails.
            Err(StoreError::NotFound { .. }) => return self.forget(member.name()),
            Err(error) => return Err(error.into()),
        };
        let owned = Owned {
            since: since(&record),
            ..Owned::of(member)
        };
        self.note(owned, member.name())
    }
}

/// Removes a machine that the cluster owns, and then forgets it. One that is gone, or that is
/// somebody else's by now, is forgotten only.
///
/// `restore` gives an adopted host's engine back the configuration that it had before.
///
/// # Errors
/// When it cannot be removed; the cluster goes on owning it.
pub async fn remove_machine(
    guard: &ClusterGuard,
    machines: &Machines,
    name: &MachineName,
    restore: bool,
    report: &dyn Report,
    secrets: &dyn Secrets,
) -> Result<(), ClusterError> {
    let journal = guard.journal();
    let Some(owned) = journal.as_ref().and_then(|it| it.machines.get(name)) else {
        return Ok(());
    };
    match machines.store().load(name) {
        Ok(record) if owned.is(since(&record)) => {
            let adopted = machines.driver(&record)?.capabilities().adopted;
            let removal = Removal {
                force: false,
                restore: restore && adopted,
            };
            match machines.remove(name, removal, report, secrets).await {
                Ok(_) | Err(LifecycleError::Store(StoreError::NotFound { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(_) => report.warn("a machine of this name was made by somebody else since; it stays"),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    guard.update(|journal| {
        journal.machines.remove(name);
    })
}
