use std::path::{Path, PathBuf};

use rmachine_cluster::{ClusterJournal, Orchestrator, Roles, orchestrator, roles, together};
use rmachine_driver::MachineName;
use rmachine_machine::Record;

use super::super::App;
use super::{ClusterFile, FileArg, clusters};
use crate::error::{CommandError, ErrorKind};

/// A cluster whose machines are known: from its file, its journal, or their records.
pub struct Known {
    /// What it is called: as its file does, or by a machine of it.
    pub name: MachineName,
    /// What joins its engines.
    pub orchestrator: Orchestrator,
    /// Its machines, and what each is in it.
    pub members: Vec<(MachineName, Roles)>,
}

impl Known {
    /// The cluster of a file.
    pub fn of_file(file: &ClusterFile) -> Self {
        let cluster = &file.cluster;
        let members = cluster.members.iter();
        Self {
            name: cluster.name.clone(),
            orchestrator: cluster.orchestrator,
            members: members
                .map(|member| (member.name().clone(), member.roles))
                .collect(),
        }
    }

    /// The cluster that is meant: by its own name, by that of a machine of it, or by its file.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownMachine`] where nothing has this name; when a file cannot be used.
    pub fn named(app: &App, name: &str) -> Result<Self, CommandError> {
        if let Ok(name) = name.parse::<MachineName>() {
            let journal = clusters(app).load(&name);
            if let Some(journal) = journal.map_err(CommandError::of_cluster)? {
                return Ok(Self::of_journal(app, name, &journal));
            }
            if app.store.contains(&name) {
                return Self::of_machine(app, name);
            }
        }
        match Path::new(name).exists() {
            true => {
                let file = FileArg::at(PathBuf::from(name)).read(app)?;
                Ok(Self::of_file(&file))
            }
            false => Err(CommandError::new(
                ErrorKind::UnknownMachine,
                format!("there is no cluster, machine or file {name:?}"),
            )
            .hint("rmachine cluster ls")
            .hint("rmachine ls")),
        }
    }

    fn of_journal(app: &App, name: MachineName, journal: &ClusterJournal) -> Self {
        let part = |machine: &MachineName| {
            // A machine that is gone has no record, and is told as missing later.
            let record = app.store.load(machine).ok();
            let roles = record.as_ref().map(roles).unwrap_or_default();
            (machine.clone(), roles)
        };
        Self {
            name,
            orchestrator: journal.orchestrator,
            members: journal.machines.keys().map(part).collect(),
        }
    }

    fn of_machine(app: &App, name: MachineName) -> Result<Self, CommandError> {
        let listed = app.store.list()?.into_iter();
        let records: Vec<Record> = listed.filter_map(|one| one.record.ok()).collect();
        let members = together(&records, &name);
        let Some(own) = members.iter().find(|record| *record.name() == name) else {
            return Err(CommandError::failed(format!("{name} is in no cluster"))
                .hint(format!("rmachine status {name}")));
        };
        Ok(Self {
            orchestrator: orchestrator(own),
            members: members
                .iter()
                .map(|record| (record.name().clone(), roles(record)))
                .collect(),
            name,
        })
    }
}
