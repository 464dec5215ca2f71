use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Scheduler, Strategy};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::cluster::container::Origin;
use crate::cluster::settings::{ClusterSettings, EngineTls, RescheduleSettings};

const NODE: &str = "10.0.0.1:2376";

fn state() -> State {
    let mut state = State::default();
    let settings = ClusterSettings {
        refresh_min: Duration::from_secs(30),
        refresh_max: Duration::from_secs(60),
        failure_retry: 3,
        overcommit: Overcommit::from_ratio(0.0).unwrap(),
        scheduler: Scheduler::new(Strategy::Spread, []),
        tls: EngineTls::Off,
        call_limit: Duration::from_secs(10),
        reschedule: RescheduleSettings::default(),
    };
    let member = Member::new(NODE.into(), &settings);
    state.members.insert(NODE.into(), member);
    state
}

/// Puts a container as a list shows it, and says whether it is there then.
fn put(state: &mut State, id: &str, names: &[&str]) -> bool {
    let item = json!({"Id": id, "Names": names, "Created": 1, "State": "running"});
    let origin = Origin {
        addr: &NODE.into(),
        name: "n1",
        ip: "10.0.0.1",
        skew: 0,
        now: 0,
    };
    let (container, resident) = Container::read(&to_raw_value(&item).unwrap(), &origin).unwrap();
    state.put(container, resident);
    has(state, id)
}

fn has(state: &State, id: &str) -> bool {
    state.index.get(&(id.into(), NODE.into())).is_some()
}

#[test]
fn no_list_brings_back_what_was_removed() {
    let mut state = state();
    assert!(put(&mut state, "a", &["/web"]));
    state.remove(&NODE.into(), &"a".into());
    assert!(!put(&mut state, "a", &["/web"]));
    assert!(put(&mut state, "b", &["/web"]));
}

#[test]
fn a_list_that_is_older_than_a_container_does_not_end_it() {
    let mut state = state();
    for id in ["listed", "new", "gone"] {
        put(&mut state, id, &[&format!("/{id}")]);
    }
    state
        .members
        .get_mut(NODE)
        .unwrap()
        .changes
        .container("new");
    state.retain(&NODE.into(), &BTreeSet::from(["listed".into()]));
    let left: Vec<_> = ["listed", "new", "gone"].map(|id| has(&state, id)).into();
    assert_eq!(left, [true, true, false]);
}

#[test]
fn who_was_linked_to_a_removed_container_is_read_again() {
    let mut state = state();
    put(&mut state, "db", &["/db", "/web/data"]);
    put(&mut state, "other", &["/other", "/website/data"]);
    put(&mut state, "web", &["/web"]);
    state.remove(&NODE.into(), &"web".into());
    let changes = &state.members[NODE].changes;
    assert!(changes.is_waiting("db"));
    assert!(!changes.is_waiting("other"));
}
