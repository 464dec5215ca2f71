//! Which machines of a store make a cluster, by their records alone: also where no file made it.

use rmachine_driver::MachineName;
use rmachine_lifecycle::EMBEDDED;
use rmachine_machine::Record;

use crate::model::{Orchestrator, Roles};

/// What machines of one cluster have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Common {
    /// The machine that began it, or keeps its nodes.
    Head(MachineName),
    /// The discovery where they meet.
    Discovery(String),
}

/// The machines that are in a cluster with this one, itself among them; none where it is in no
/// cluster.
pub fn together<'a>(records: &'a [Record], name: &MachineName) -> Vec<&'a Record> {
    let own = records.iter().find(|record| record.name() == name);
    let Some(common) = own.and_then(|own| common(records, own)) else {
        return Vec::new();
    };
    let mut members: Vec<&Record> = records
        .iter()
        .filter(|record| self::common(records, record).as_ref() == Some(&common))
        .collect();
    members.sort_by(|a, b| natord::compare(a.name().as_str(), b.name().as_str()));
    members
}

/// The machines that would be without a manager if these went, after the manager that they lose.
/// Who goes too loses nothing.
pub fn left_behind(
    records: &[Record],
    going: &[MachineName],
) -> Vec<(MachineName, Vec<MachineName>)> {
    let mut lost = Vec::new();
    for head in going {
        let members = together(records, head);
        let is_manager = |record: &&Record| roles(record).manager;
        let was_manager = members
            .iter()
            .any(|record| record.name() == head && is_manager(record));
        let staying = members
            .into_iter()
            .filter(|record| !going.contains(record.name()));
        let staying: Vec<&Record> = staying.collect();
        let told = |(_, others): &(MachineName, Vec<MachineName>)| {
            staying
                .first()
                .is_some_and(|one| others.contains(one.name()))
        };
        if was_manager && !staying.iter().any(is_manager) && !lost.iter().any(told) {
            let names: Vec<MachineName> = staying.iter().map(|one| one.name().clone()).collect();
            if !names.is_empty() {
                lost.push((head.clone(), names));
            }
        }
    }
    lost
}

/// What a machine is in its cluster, by its record.
pub fn roles(record: &Record) -> Roles {
    let mode = record.own.swarm_mode.as_ref();
    Roles {
        manager: mode.map_or(record.swarm.master, |mode| mode.manager),
        worker: mode.is_some() || record.swarm.agent,
        store: record.own.store.is_some(),
    }
}

/// What joins a machine's engine to others, by its record.
pub fn orchestrator(record: &Record) -> Orchestrator {
    let swarm = &record.swarm;
    match &record.own.swarm_mode {
        Some(_) => Orchestrator::SwarmMode,
        None if swarm.is_swarm || swarm.master || swarm.agent => Orchestrator::Classic,
        None => Orchestrator::None,
    }
}

fn common(records: &[Record], record: &Record) -> Option<Common> {
    match orchestrator(record) {
        Orchestrator::None => None,
        Orchestrator::SwarmMode => Some(Common::Head(beginner(records, record))),
        Orchestrator::Classic => Some(kept(records, record)),
    }
}

fn kept(records: &[Record], record: &Record) -> Common {
    let discovery = &record.swarm.discovery;
    if !discovery.starts_with(EMBEDDED) {
        return Common::Discovery(discovery.clone());
    }
    if record.swarm.master {
        return Common::Head(record.name().clone());
    }
    let joined = record.own.swarm_join.clone();
    let by_address = || {
        let mut masters = records.iter().filter(|other| other.swarm.master);
        let keeper = masters.find(|other| other.swarm.discovery == *discovery)?;
        Some(keeper.name().clone())
    };
    match joined.or_else(by_address) {
        Some(master) => Common::Head(master),
        None => Common::Discovery(discovery.clone()),
    }
}

/// Who began the swarm that a machine is in.
fn beginner(records: &[Record], record: &Record) -> MachineName {
    let mut name = record.name().clone();
    // A ring of machines that have joined each other ends somewhere, too.
    for _ in 0..records.len() {
        let here = records.iter().find(|other| *other.name() == name);
        let mode = here.and_then(|here| here.own.swarm_mode.as_ref());
        match mode.and_then(|mode| mode.join.clone()) {
            Some(next) => name = next,
            None => break,
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use rmachine_machine::{CertificateOverrides, Store, SwarmMode};

    use super::*;

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    fn record(text: &str, change: impl FnOnce(&mut Record)) -> Record {
        let store = Store::open("/nowhere").unwrap();
        let certificates = store.certificates(&CertificateOverrides::default());
        let mut record = Record::new(
            store.layout(),
            &certificates,
            name(text),
            "none",
            Default::default(),
        );
        change(&mut record);
        record
    }

    fn classic(text: &str, master: bool, discovery: &str, join: Option<&str>) -> Record {
        record(text, |record| {
            record.swarm.is_swarm = true;
            record.swarm.master = master;
            record.swarm.agent = !master;
            record.swarm.discovery = discovery.to_owned();
            record.own.swarm_join = join.map(name);
        })
    }

    fn engine(text: &str, manager: bool, join: Option<&str>) -> Record {
        record(text, |record| {
            record.own.swarm_mode = Some(SwarmMode {
                manager,
                join: join.map(name),
                address: String::new(),
            });
        })
    }

    fn store() -> Vec<Record> {
        vec![
            record("alone", |_| {}),
            classic("m1", true, "embedded://10.0.0.1:3376", None),
            // The master moved; the node will follow it.
            classic("n1", false, "embedded://10.0.0.7:3376", Some("m1")),
            // An older rmachine noted no master.
            classic("n2", false, "embedded://10.0.0.1:3376", None),
            classic("r1", true, "etcd://e:2379/c", None),
            classic("r2", true, "etcd://e:2379/c", None),
            classic("r3", false, "etcd://e:2379/c", None),
            engine("s1", true, None),
            engine("s2", true, Some("s1")),
            engine("s3", false, Some("s2")),
        ]
    }

    #[test]
    fn finds_those_who_belong_together() {
        let records = store();
        let of = |text: &str| {
            let members = together(&records, &name(text));
            let names = members.iter().map(|record| record.name().to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("alone"), "");
        assert_eq!(of("nobody"), "");
        for one in ["m1", "n1", "n2"] {
            assert_eq!(of(one), "m1 n1 n2");
        }
        assert_eq!(of("r3"), "r1 r2 r3");
        assert_eq!(of("s1"), "s1 s2 s3");
        assert_eq!(of("s3"), "s1 s2 s3");
    }

    #[test]
    fn tells_who_is_left_without_a_manager() {
        let records = store();
        let told = |going: &[&str]| {
            let going: Vec<MachineName> = going.iter().map(|text| name(text)).collect();
            let lost = left_behind(&records, &going);
            let line = |(head, others): &(MachineName, Vec<MachineName>)| {
                let others: Vec<&str> = others.iter().map(MachineName::as_str).collect();
                format!("{head}: {}", others.join(" "))
            };
            lost.iter().map(line).collect::<Vec<_>>()
        };
        let nobody: [&str; 0] = [];
        assert_eq!(told(&["m1"]), ["m1: n1 n2"]);
        assert_eq!(told(&["m1", "n1"]), ["m1: n2"]);
        assert_eq!(told(&["m1", "n1", "n2"]), nobody);
        assert_eq!(told(&["n1", "alone"]), nobody);
        assert_eq!(told(&["r1"]), nobody);
        assert_eq!(told(&["r1", "r2", "s3"]), ["r1: r3"]);
        assert_eq!(told(&["s1"]), nobody);
        assert_eq!(told(&["s1", "s2"]), ["s1: s3"]);
    }
}
