//! What happens in the cluster: the events of all engines, and those of the nodes themselves.

mod rewrite;
mod ring;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub(crate) use rewrite::{EngineEvent, with_node};

use super::node::Turn;
use super::view::About;
use crate::json;
use ring::{Ring, Slot};

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
    ring: Arc<Mutex<Ring>>,
    /// The number of the next event.
    next: u64,
    /// The number of the first event that happened after this stream began.
    began: u64,
    /// The earliest time of events before that.
    since: i64,
    published: watch::Receiver<()>,
}

/// The events of all nodes.
pub(crate) struct Events {
    ring: Arc<Mutex<Ring>>,
    published: watch::Sender<()>,
}

impl EventStream {
    /// The next event; none any more for a reader who fell too far behind.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            let slot = lock(&self.ring).get(self.next);
            match slot {
                Slot::Event(event) => {
                    let number = self.next;
                    self.next += 1;
                    if number >= self.began || event.time_nano >= self.since {
                        return Some(event);
                    }
                }
                Slot::Gone => return None,
                Slot::Future => self.published.changed().await.ok()?,
            }
        }
    }
}

impl Events {
    /// Hands on what an engine tells.
    pub(crate) fn publish(&self, event: Event) {
        lock(&self.ring).push(event);
        self.published.send_replace(());
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
        let event = json!({
            "status": action, "from": "swarm", "Type": "swarm", "Action": action,
            "Actor": { "ID": "", "Attributes": {} },
            "time": nanos / 1_000_000_000, "timeNano": nanos,
        });
        if let Value::Object(mut event) = event {
            attach(&mut event, about);
            self.publish(Event {
                time_nano: nanos,
                json: Value::Object(event).to_string().into(),
            });
        }
    }

    pub(crate) fn follow(&self, since: Option<i64>) -> EventStream {
        let published = self.published.subscribe();
        let ring = lock(&self.ring);
        let (first, end) = (ring.first(), ring.end());
        drop(ring);
        EventStream {
            ring: Arc::clone(&self.ring),
            next: if since.is_some() { first } else { end },
            began: end,
            since: since.unwrap_or(i64::MIN),
            published,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            ring: Arc::default(),
            published: watch::Sender::new(()),
        }
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the node into an event, the ways in which clients look for it.
fn attach(event: &mut Map<String, Value>, about: &About) {
    let node = [
        ("name", "Name", about.name.as_str()),
        ("id", "Id", &about.id),
        ("addr", "Addr", &about.addr),
        ("ip", "Ip", &about.ip),
    ];
    json::update_object(event, "Actor", |actor| {
        json::update_object(actor, "Attributes", |attributes| {
            for (key, _, value) in node {
                attributes.insert(format!("node.{key}"), value.into());
            }
        });
    });
    json::update_object(event, "node", |fields| {
        for (_, key, value) in node {
            fields.insert(key.to_owned(), value.into());
        }
    });
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
        let mut all = events.follow(Some(0));
        assert_eq!(
            all.next().await.unwrap().time_nano,
            20_000 - ring::MOST as i64
        );
    }

    #[tokio::test]
    async fn kept_events_are_limited_in_bytes() {
        let events = Events::default();
        for time in 0..100 {
            events.publish(Event {
                time_nano: time,
                json: "x".repeat(1024 * 1024).into(),
            });
        }
        let mut all = events.follow(Some(0));
        let kept = i64::try_from(ring::MOST_BYTES / (1024 * 1024)).unwrap();
        assert_eq!(all.next().await.unwrap().time_nano, 100 - kept);
    }
}
