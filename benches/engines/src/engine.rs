//! One engine: its containers, and what happens to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::broadcast;

/// How many events a slow listener may be behind.
const EVENTS_KEPT: usize = 1024;

/// An engine that runs nothing.
pub struct Engine {
    /// Its number, which names and addresses are made of.
    pub number: u16,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    events: broadcast::Sender<Bytes>,
}

/// A container, as far as clients can see it.
#[derive(Clone)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name, without a slash.
    pub name: String,
    /// What it was created from: the body of the request.
    pub config: Value,
    /// Whether it is on.
    pub state: State,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it was last started.
    pub started: OffsetDateTime,
}

/// Whether a container is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Not started yet.
    Created,
    /// Started.
    Running,
    /// Ended.
    Exited,
}

/// Why something cannot be done: the status, and the words.
pub type Refusal = (u16, String);

impl Engine {
    /// An engine with running containers.
    pub fn new(number: u16, containers: usize) -> Self {
        let engine = Self {
            number,
            containers: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
        };
        for place in 0..containers {
            let config = json!({
                "Image": "busybox:latest",
                "Cmd": ["sleep", "infinity"],
                "Labels": {"tier": "bench", "place": place.to_string()},
                "HostConfig": {"Memory": 16 << 20, "CpuShares": 0, "NetworkMode": "default"},
            });
            let name = format!("e{number}-c{place}");
            if let Ok(id) = engine.create(&name, config) {
                let _ = engine.start(&id);
            }
        }
        engine
    }

    /// Creates a container; returns its ID.
    ///
    /// # Errors
    /// 409 when the name is taken.
    pub fn create(&self, name: &str, config: Value) -> Result<String, Refusal> {
        let [high, low]: [u128; 2] = rand::random();
        let id = format!("{high:032x}{low:032x}");
        let now = OffsetDateTime::now_utc();
        let mut containers = self.containers();
        if containers.values().any(|other| other.name == name) {
            return Err((
                409,
                format!("Conflict. The container name \"/{name}\" is already in use"),
            ));
        }
        let container = Arc::new(Container {
            id: id.clone(),
            name: match name {
                "" => format!("c{}", &id[..12]),
                name => name.to_owned(),
            },
            config,
            state: State::Created,
            created: now,
            started: now,
        });
        let event = event("create", &container);
        containers.insert(id.clone(), container);
        drop(containers);
        self.tell(event);
        Ok(id)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// 404; 304 when it runs.
    pub fn start(&self, name: &str) -> Result<(), Refusal> {
        self.change(name, State::Running, "start")
    }

    /// Stops a container.
    ///
    /// # Errors
    /// 404; 304 when it does not run.
    pub fn stop(&self, name: &str) -> Result<(), Refusal> {
        self.change(name, State::Exited, "die")
    }

    /// Removes a container, whether it runs or not.
    ///
    /// # Errors
    /// 404.
    pub fn remove(&self, name: &str) -> Result<(), Refusal> {
        let found = self.find(name)?;
        let removed = self.containers().remove(&found.id);
        if let Some(container) = removed {
            self.tell(event("destroy", &container));
        }
        Ok(())
    }

    /// The container with this ID, name, or beginning of an ID.
    ///
    /// # Errors
    /// 404.
    pub fn find(&self, name: &str) -> Result<Arc<Container>, Refusal> {
        let containers = self.containers();
        let by_id = containers.range(name.to_owned()..).next();
        let by_id = by_id.filter(|(id, _)| id.starts_with(name));
        let found = by_id
            .map(|(_, container)| container)
            .or_else(|| containers.values().find(|container| container.name == name));
        found
            .cloned()
            .ok_or_else(|| (404, format!("No such container: {name}")))
    }

    /// All containers, the newest first.
    pub fn list(&self) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = self.containers().values().cloned().collect();
        all.sort_by_key(|container| std::cmp::Reverse(container.created));
        all
    }

    /// What happens from now on, a JSON object a line.
    pub fn events(&self) -> broadcast::Receiver<Bytes> {
        self.events.subscribe()
    }

    fn change(&self, name: &str, state: State, action: &str) -> Result<(), Refusal> {
        let found = self.find(name)?;
        let mut containers = self.containers();
        let Some(container) = containers.get_mut(&found.id) else {
            return Err((404, format!("No such container: {name}")));
        };
        drop(found);
        let container = Arc::make_mut(container);
        if container.state == state {
            return Err((304, String::new()));
        }
        container.state = state;
        if state == State::Running {
            container.started = OffsetDateTime::now_utc();
        }
        let event = event(action, container);
        drop(containers);
        self.tell(event);
        Ok(())
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Container>>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Bytes) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }
}

/// An event as engines write it, with a line's end.
fn event(action: &str, container: &Container) -> Bytes {
    let now = OffsetDateTime::now_utc();
    let image = &container.config["Image"];
    let event = json!({
        "status": action,
        "id": container.id,
        "from": image,
        "Type": "container",
        "Action": action,
        "Actor": {
            "ID": container.id,
            "Attributes": {"image": image, "name": container.name},
        },
        "scope": "local",
        "time": now.unix_timestamp(),
        "timeNano": i64::try_from(now.unix_timestamp_nanos()).unwrap_or(i64::MAX),
    });
    Bytes::from(format!("{event}\n"))
}
