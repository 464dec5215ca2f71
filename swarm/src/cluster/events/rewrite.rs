use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Event, attach};
use crate::cluster::view::About;

/// What is read of an engine's event.
#[derive(Deserialize)]
pub(crate) struct EngineEvent<'a> {
    /// `container`, `image`, `network`, …
    #[serde(rename = "Type", default, borrow)]
    pub(crate) kind: Cow<'a, str>,
    /// What happened.
    #[serde(rename = "Action", default, borrow)]
    pub(crate) action: Cow<'a, str>,
    #[serde(rename = "Actor", default, borrow)]
    actor: Actor<'a>,
    /// When, in nanoseconds of the engine's clock.
    #[serde(rename = "timeNano", default)]
    pub(crate) time_nano: i64,
}

#[derive(Default, Deserialize)]
struct Actor<'a> {
    #[serde(rename = "ID", default, borrow)]
    id: Cow<'a, str>,
}

impl EngineEvent<'_> {
    /// To what it happened.
    pub(crate) fn id(&self) -> &str {
        &self.actor.id
    }

    /// Whether a container is another one afterwards.
    pub(crate) fn changes_container(&self) -> bool {
        let action = self.action.split(':').next().unwrap_or_default();
        self.kind == "container"
            && !matches!(
                action,
                "attach"
                    | "archive-path"
                    | "copy"
                    | "commit"
                    | "detach"
                    | "exec_create"
                    | "exec_detach"
                    | "exec_die"
                    | "exec_start"
                    | "export"
                    | "extract-to-dir"
                    | "resize"
                    | "top"
                    | "kill"
            )
    }
}

/// The event as the cluster tells it: with its node, and with the fields that engines from 29 on
/// leave out and older clients look for.
pub(crate) fn with_node(line: &str, about: &About) -> Option<Event> {
    let Ok(Value::Object(mut event)) = serde_json::from_str(line) else {
        return None;
    };
    let time_nano = event.get("timeNano").and_then(Value::as_i64).unwrap_or(0);
    if let Some(action) = event.get("Action").cloned() {
        event.entry("status").or_insert(action);
    }
    if event.get("Type").and_then(Value::as_str) == Some("container") {
        let actor = event.get("Actor");
        let id = actor.and_then(|actor| actor.get("ID"));
        let id = id.cloned().unwrap_or_default();
        let attributes = actor.and_then(|actor| actor.get("Attributes"));
        let image = attributes.and_then(|attributes| attributes.get("image"));
        let image = image.cloned().unwrap_or_default();
        event.entry("id").or_insert(id);
        event.entry("from").or_insert(image);
    }
    let from = event.get("from").and_then(Value::as_str);
    let from = format!("{} node:{}", from.unwrap_or_default(), about.name);
    event.insert("from".to_owned(), from.into());
    attach(&mut event, about);
    Some(Event {
        time_nano,
        json: Value::Object(event).to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmachine_engine::{ApiVersion, ApiWindow};

    fn about() -> About {
        About {
            id: "ID".to_owned(),
            name: "node-1".to_owned(),
            addr: "10.0.0.1:2376".into(),
            ip: "10.0.0.1".to_owned(),
            cpus: 1,
            memory: 1,
            labels: std::collections::BTreeMap::new(),
            version: "29.0".to_owned(),
            skew: 0,
            api: ApiWindow {
                oldest: ApiVersion::OLDEST,
                newest: ApiVersion::NEWEST,
            },
        }
    }

    #[test]
    fn events_of_old_and_new_engines_come_out_alike() {
        let old = r#"{"status":"start","id":"c1","from":"nginx","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"nginx"}},"scope":"local","time":5,"timeNano":5000000001}"#;
        let new = r#"{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"nginx"}},"scope":"local","time":5,"timeNano":5000000001}"#;
        for line in [old, new] {
            let event = with_node(line, &about()).unwrap();
            assert_eq!(event.time_nano, 5_000_000_001);
            let told: Value = serde_json::from_str(&event.json).unwrap();
            assert_eq!(told["status"], "start");
            assert_eq!(told["id"], "c1");
            assert_eq!(told["from"], "nginx node:node-1");
            assert_eq!(told["Actor"]["Attributes"]["node.addr"], "10.0.0.1:2376");
            assert_eq!(told["node"]["Name"], "node-1");
            assert_eq!(told["scope"], "local");
        }
        assert!(with_node("no event", &about()).is_none());
    }

    #[test]
    fn malformed_fields_are_replaced() {
        for line in [
            r#"{"Type":"container","Action":"start","Actor":[],"node":5}"#,
            r#"{"Type":"container","Action":"start","Actor":"x","node":[]}"#,
            r#"{"Type":"container","Action":"start","Actor":{"Attributes":[1]},"node":null}"#,
            r#"{"Type":"container","Action":"start","from":[],"timeNano":"x"}"#,
        ] {
            let event = with_node(line, &about()).unwrap();
            let event: Value = serde_json::from_str(&event.json).unwrap();
            assert_eq!(event["node"]["Name"], "node-1", "{line}");
            assert_eq!(event["Actor"]["Attributes"]["node.id"], "ID", "{line}");
        }
        assert!(with_node("[]", &about()).is_none());
    }

    #[test]
    fn what_only_looks_changes_nothing() {
        for (action, changes) in [
            ("start", true),
            ("die", true),
            ("health_status: healthy", true),
            ("rename", true),
            ("exec_create: sh -c true", false),
            ("exec_die", false),
            ("attach", false),
            ("kill", false),
        ] {
            let line =
                format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"a"}}}}"#);
            let event: EngineEvent<'_> = serde_json::from_str(&line).unwrap();
            assert_eq!(event.changes_container(), changes, "{action}");
        }
    }
}
