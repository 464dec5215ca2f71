//! What happens in the cluster: the events of all engines, and those of the nodes themselves.

mod rewrite;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::broadcast;

pub(crate) use rewrite::{EngineEvent, with_node};

use super::node::Turn;
use super::view::About;

/// How many events are kept for those who ask for earlier ones.
const KEPT: usize = 4096;

/// How far a reader may fall behind.
const BEHIND: usize = 8192;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, by the clock of its engine, in nanoseconds.
    pub time_nano: i64,
    /// The event as Docker writes it, with its node, without an end of line.
    pub json: Box<str>,
}

/// Events in the order in which they became known.
pub struct EventStream {
    earlier: VecDeque<Arc<Event>>,
    coming: broadcast::Receiver<Arc<Event>>,
}

/// The events of all nodes.
pub(crate) struct Events {
    kept: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl EventStream {
    /// The next event; none any more for a reader who fell too far behind.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        if let Some(event) = self.earlier.pop_front() {
            return Some(event);
        }
        self.coming.recv().await.ok()
    }
}

impl Events {
    /// Hands on what an engine tells.
    pub(crate) fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Nobody may be listening.
        let _ = self.sender.send(event);
    }

    /// Tells that a node has come, gone, or come back.
    pub(crate) fn turned(&self, turn: Turn, about: &About) {
        let action = match turn {
            Turn::Connected => "engine_connect",
            Turn::Lost => "engine_disconnect",
            Turn::Reconnected => "engine_reconnect",
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        });
        let mut event = json!({
            "status": action, "from": "swarm", "Type": "swarm", "Action": action,
            "Actor": { "ID": "", "Attributes": {} },
            "time": nanos / 1_000_000_000, "timeNano": nanos,
        });
        attach(&mut event, about);
        self.publish(Event {
            time_nano: nanos,
            json: event.to_string().into(),
        });
    }

    pub(crate) fn follow(&self, since: Option<i64>) -> EventStream {
        let kept = self.kept();
        let earlier = kept.iter();
        let earlier = earlier.filter(|event| since.is_some_and(|since| event.time_nano >= since));
        EventStream {
            earlier: earlier.cloned().collect(),
            coming: self.sender.subscribe(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            sender: broadcast::Sender::new(BEHIND),
        }
    }
}

/// Writes the node into an event, the ways in which clients look for it.
fn attach(event: &mut Value, about: &About) {
    let node = [
        ("name", "Name", about.name.as_str()),
        ("id", "Id", &about.id),
        ("addr", "Addr", &about.addr),
        ("ip", "Ip", &about.ip),
    ];
    for (key, _, value) in node {
        event["Actor"]["Attributes"][format!("node.{key}")] = value.into();
    }
    for (_, key, value) in node {
        event["node"][key] = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_nano: i64) -> Event {
        Event {
            time_nano,
            json: time_nano.to_string().into(),
        }
    }

    #[tokio::test]
    async fn earlier_events_come_before_later_ones_and_each_once() {
        let events = Events::default();
        for time in 1..=3 {
            events.publish(event(time));
        }
        let mut all = events.follow(Some(2));
        let mut new = events.follow(None);
        events.publish(event(4));
        for time in 2..=4 {
            assert_eq!(all.next().await.unwrap().time_nano, time);
        }
        assert_eq!(new.next().await.unwrap().time_nano, 4);
    }

    #[tokio::test]
    async fn who_falls_behind_is_let_go() {
        let events = Events::default();
        let mut slow = events.follow(None);
        for time in 0..20_000 {
            events.publish(event(time));
        }
        assert!(slow.next().await.is_none());
        assert_eq!(events.kept().len(), KEPT);
    }
}
