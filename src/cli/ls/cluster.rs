use std::collections::HashMap;

use rmachine_machine::{Listed, Record};

/// The clusters that the machines of a store make.
pub struct Clusters {
    /// A master, by the discovery of its cluster.
    masters: HashMap<String, String>,
    /// Of the engines in swarm mode, whose swarm each has joined.
    joined: HashMap<String, Option<String>>,
}

impl Clusters {
    /// Of these machines.
    pub fn of(listed: &[Listed]) -> Self {
        let records = || {
            let records = listed.iter();
            records.filter_map(|machine| machine.record.as_ref().ok())
        };
        let masters = records().filter(|record| record.swarm.master);
        let masters =
            masters.map(|record| (record.swarm.discovery.clone(), record.name().to_string()));
        let joined = records().filter_map(|record| {
            let mode = record.own.swarm_mode.as_ref()?;
            let joined = mode.join.as_ref().map(ToString::to_string);
            Some((record.name().to_string(), joined))
        });
        Self {
            masters: masters.collect(),
            joined: joined.collect(),
        }
    }

    /// The master of a machine's cluster; of several, the one that began it.
    pub fn master_of<'a>(&'a self, record: &'a Record) -> Option<&'a str> {
        if record.own.swarm_mode.is_some() {
            return Some(self.beginner(record.name().as_str()));
        }
        let swarm = &record.swarm;
        if !(swarm.is_swarm || swarm.master || swarm.agent) {
            return None;
        }
        self.masters.get(&swarm.discovery).map(String::as_str)
    }

    /// The SWARM column: the master's name, marked on the master itself.
    pub fn shown(&self, record: &Record) -> String {
        let mode = record.own.swarm_mode.as_ref();
        let is_master = record.swarm.master || mode.is_some_and(|mode| mode.manager);
        match self.master_of(record) {
            Some(_) if is_master => format!("{} (master)", record.name()),
            Some(master) => master.to_owned(),
            None => String::new(),
        }
    }

    fn beginner<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        // A ring of machines that have joined each other ends somewhere, too.
        for _ in 0..self.joined.len() {
            match self.joined.get(name) {
                Some(Some(next)) => name = next,
                Some(None) | None => break,
            }
        }
        name
    }
}
