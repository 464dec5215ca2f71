//! Fuzz targets: what engines send, on its way into the state.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.

use std::collections::BTreeMap;

use bolero::{ValueGenerator, check, produce};
use rmachine_engine::{ApiVersion, ApiWindow};
use rswarm_scheduler::Resident;
use rswarm_scheduler::node::NodeSpec;
use serde_json::Value;
use serde_json::value::RawValue;

use super::clock::{corrected, skew};
use super::container::{Container, Origin, Status};
use super::events::{EngineEvent, with_node};
use super::member::ObjectKind;
use super::objects;
use super::view::About;

/// What JSON of engines is made of, and what it should not be made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "5",
    "-1",
    "9223372036854775807",
    "1e999",
    "\"\"",
    "\"x\"",
    "\"Type\":",
    "\"container\"",
    "\"Action\":",
    "\"die\"",
    "\"Actor\":",
    "\"ID\":",
    "\"Attributes\":",
    "\"node\":",
    "\"timeNano\":",
    "\"Id\":",
    "\"Names\":",
    "\"Created\":",
    "\"Status\":",
    "\"Up 9223372036854775807 years\"",
    "\"Ports\":",
    "\"Labels\":",
    "\"Volumes\":",
    "\"NCPU\":",
    "\"HostConfig\":",
    "\"Name\":",
    "\"SystemTime\":",
    " ",
    "\n",
    "é",
    "\u{0}",
];

fn json() -> impl ValueGenerator<Output = String> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=24_usize).values(0..PIECES.len());
    picks.map_gen(|picks| picks.into_iter().map(|pick| PIECES[pick]).collect())
}

fn about() -> About {
    About {
        id: "ID".to_owned(),
        name: "node-1".to_owned(),
        addr: "10.0.0.1:2376".into(),
        ip: "10.0.0.1".to_owned(),
        cpus: 1,
        memory: 1,
        labels: BTreeMap::new(),
        version: "29.0".to_owned(),
        skew: 0,
        api: ApiWindow {
            oldest: ApiVersion::OLDEST,
            newest: ApiVersion::NEWEST,
        },
    }
}

#[test]
fn any_event_is_dropped_or_gets_its_node() {
    let about = about();
    check!().with_generator(json()).for_each(|line| {
        // As it is, and as the fields of an object.
        for line in [line.clone(), format!("{{{line}}}")] {
            let read = serde_json::from_str::<EngineEvent<'_>>(&line).is_ok();
            if let Some(event) = with_node(&line, &about) {
                let event: Value = serde_json::from_str(&event.json).expect("JSON");
                assert_eq!(event["node"]["Name"], "node-1", "{line}");
                assert_eq!(
                    event["Actor"]["Attributes"]["node.name"], "node-1",
                    "{line}"
                );
            } else {
                let is_object = serde_json::from_str::<Value>(&line).is_ok_and(|it| it.is_object());
                assert!(!is_object, "{line} is dropped ({read})");
            }
        }
    });
}

#[test]
fn any_list_is_read_or_rejected() {
    check!().with_generator(json()).for_each(|text| {
        for list in [text.clone(), format!("[{{{text}}}]"), format!("{{{text}}}")] {
            for kind in ObjectKind::ALL {
                for object in objects::read(kind, list.as_bytes())
                    .iter()
                    .flat_map(|all| all.iter())
                {
                    assert!(object.json.get().starts_with('{'), "{list}");
                    object.is_image("x", true);
                }
            }
            let items = serde_json::from_str::<Vec<Box<RawValue>>>(&list);
            for item in items.iter().flatten() {
                let origin = Origin {
                    addr: &"10.0.0.1:2376".into(),
                    name: "node-1",
                    ip: "10.0.0.1",
                    now: 1_700_000_000,
                    skew: i64::MAX,
                };
                if let Ok((container, _)) = Container::read(item, &origin) {
                    let mut written = String::new();
                    container.write(None, i64::MAX, &mut written);
                    assert!(serde_json::from_str::<Value>(&written).is_ok(), "{written}");
                }
            }
            if let Ok(value) = serde_json::from_str::<Value>(&list) {
                let _ = Resident::from_inspect(&value);
                let _ = NodeSpec::from_info(&value, "10.0.0.1:2376");
                skew(&value, std::time::UNIX_EPOCH, std::time::UNIX_EPOCH);
            }
        }
    });
}

#[test]
fn any_time_is_told_or_stays() {
    let numbers = (produce::<i64>(), produce::<i64>(), produce::<u8>());
    check!()
        .with_generator(numbers)
        .for_each(|(number, now, unit)| {
            let units = [
                "seconds", "minute", "hours", "days", "weeks", "months", "years",
            ];
            let unit = units[usize::from(*unit) % units.len()];
            let mut written = String::new();
            Status::read(&format!("Up {number} {unit}"), *now)
                .write(number.saturating_neg(), &mut written);
            assert!(written.starts_with("Up "), "{written}");
            let time = format!(
                "2001-09-09T01:46:40.{}Z",
                number.unsigned_abs() % 1_000_000_000
            );
            let _ = corrected(&time, *now);
        });
}
