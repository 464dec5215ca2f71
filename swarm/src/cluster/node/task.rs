//! The task of a node: connects, follows events, reads what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexSet;
use rmachine_engine::{Engine, ResponseBudget};
use rswarm_discovery::Entry;
use rswarm_scheduler::{ReschedulePolicy, Resident};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::fetch::{self, Trouble};
use super::fingerprint::fingerprint;
use super::stream::EngineEvents;
use super::{Turn, refresh};
use crate::cluster::Cluster;
use crate::cluster::container::{Container, Origin};
use crate::cluster::events::{EngineEvent, with_node};
use crate::cluster::limits::{Items, MAX_EVENT, MAX_LABELS};
use crate::cluster::member::{Member, ObjectKind};
use crate::cluster::objects;
use crate::cluster::place::now;
use crate::cluster::view::About;
use crate::panics;
use crate::supervise::{RESTARTS, restart_pause};

/// How long changes are collected before they are read together, when nobody waits for them.
const COLLECT: Duration = Duration::from_millis(50);

/// How many changed containers are read one by one; more are read as a whole list.
const MANY: usize = 50;

/// How often an engine is asked who it is, and for all that its events tell anyway.
const SLOW: Duration = Duration::from_secs(300);

/// How long a session has to last before the node is relied on, where the engine's sessions have
/// ended early before. Sessions that end sooner count as failures.
const STABLE: Duration = Duration::from_secs(10);

/// How often a list may call a container running that has told of its end, and how long apart: some
/// engines, such as 20.10, tell of an end before their list knows of it.
const LATE_LISTS: u8 = 20;
const LATE: Duration = Duration::from_millis(10);

/// How many containers are remembered whose end was told and is not in a list yet.
const MOST_ENDED: usize = 1000;

/// Starts the task of a node. It ends with the member's token.
pub(crate) fn spawn(cluster: Cluster, entry: Entry, member: &Member) {
    let stop = member.stop.clone();
    let node = Node {
        addr: Arc::clone(&member.addr),
        wake: Arc::clone(&member.wake),
        cluster,
        entry,
        budget: ResponseBudget::default(),
    };
    // There is one for each node, and the token's own way would make it three times as large.
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = supervise(&node) => {}
        }
    });
}

/// Runs the task of a node, and starts it again when it panics.
async fn supervise(node: &Node) {
    let mut backoff = RESTARTS;
    loop {
        let began = Instant::now();
        if panics::caught(Task::new(node).run()).await.is_some() {
            return;
        }
        let pause = restart_pause(&mut backoff, began.elapsed());
        let why = "the manager failed on what this engine sent; its log says where".to_owned();
        if Task::new(node).failed(why, true).is_none() {
            return;
        }
        sleep(pause).await;
    }
}

/// What all runs of a node's task share.
struct Node {
    cluster: Cluster,
    entry: Entry,
    addr: Arc<str>,
    wake: Arc<Notify>,
    /// Memory for responses of the engine, over all connections to it.
    budget: ResponseBudget,
}

struct Task<'a> {
    cluster: &'a Cluster,
    entry: &'a Entry,
    addr: &'a Arc<str>,
    wake: &'a Notify,
    budget: &'a ResponseBudget,
    /// The time of the last event, by the engine's clock.
    last_event: Option<i64>,
    /// The last whole list, so that one that tells nothing new is not read again.
    last_list: Option<u64>,
    /// Containers whose end is the last that was told of them, and how many more lists may not know it.
    ended: BTreeMap<Arc<str>, u8>,
}

/// A connection to the engine that is in use.
struct Session {
    engine: Arc<Engine>,
    about: Arc<About>,
    events: EngineEvents,
    /// Containers that only a list has told of.
    uninspected: IndexSet<Arc<str>>,
    refresh_at: Instant,
    slow_at: Instant,
    /// When the session has lasted; `None` once it has.
    stable_at: Option<Instant>,
}

/// What a session begins with.
struct Begin {
    /// The list of all containers.
    list: Bytes,
    turn: Option<Turn>,
}

impl<'a> Task<'a> {
    fn new(node: &'a Node) -> Self {
        Self {
            cluster: &node.cluster,
            entry: &node.entry,
            addr: &node.addr,
            wake: &node.wake,
            budget: &node.budget,
            last_event: None,
            last_list: None,
            ended: BTreeMap::new(),
        }
    }

    async fn run(mut self) {
        let mut tls = self.cluster.inner.settings.tls.clone();
        loop {
            let (Trouble(why), is_early) = match self.connect().await {
                Ok((mut session, begin)) => tokio::select! {
                    trouble = self.lead(&mut session, begin) => {
                        (trouble, session.stable_at.is_some())
                    }
                    // Nothing is wrong, but the next certificates are in use now.
                    () = tls.changed() => continue,
                },
                Err(trouble) => (trouble, false),
            };
            self.last_list = None;
            tracing::debug!("node {}: {why}", self.addr);
            let Some(pause) = self.failed(why, is_early) else {
                return;
            };
            sleep(pause).await;
        }
    }

    /// Connects and reads all that makes the node a part of the cluster.
    async fn connect(&mut self) -> Result<(Session, Begin), Trouble> {
        let settings = &self.cluster.inner.settings;
        let limit = settings.call_limit;
        let endpoint = settings.tls.endpoint(self.entry)?;
        let budget = self.budget.clone();
        let engine = Arc::new(Engine::with_budget(endpoint, limit, budget));
        let (about, spec) = fetch::introduce(&engine, self.entry).await?;
        let about = Arc::new(about);
        // Before the list, so that nothing happens unseen between the two.
        let events = fetch::events(&engine, &about, self.last_event, limit).await?;
        let list = fetch::containers(&engine, None).await?;
        let turn = {
            let mut state = self.cluster.write();
            let member = self.member(&mut state)?;
            match member.answered(&about.id) {
                Ok(turn) => {
                    member.engine = Some(Arc::clone(&engine));
                    member.about = Some(Arc::clone(&about));
                    member.node.set_spec(spec);
                    for kind in ObjectKind::ALL {
                        member.changes.objects(kind);
                    }
                    self.wake.notify_one();
                    turn
                }
                Err(why) => {
                    state.retain(self.addr, &BTreeSet::new());
                    return Err(Trouble(why));
                }
            }
        };
        let session = Session {
            engine,
            about,
            events: EngineEvents::new(events.into_body()),
            uninspected: IndexSet::new(),
            refresh_at: self.next_refresh(),
            slow_at: Instant::now() + SLOW,
            stable_at: Some(Instant::now() + settings.refresh_min.min(STABLE)),
        };
        Ok((session, Begin { list, turn }))
    }

    /// Makes known what the engine has, and follows it until something goes wrong.
    async fn lead(&mut self, session: &mut Session, begin: Begin) -> Trouble {
        if let Err(trouble) = self.take_list(session, &begin.list, None) {
            return trouble;
        }
        self.last_list = Some(fingerprint(&begin.list));
        self.tell(begin.turn, session);
        self.follow(session).await
    }

    /// Tells others that the node has become healthy.
    fn tell(&self, turn: Option<Turn>, session: &Session) {
        let Some(turn) = turn else {
            return;
        };
        if turn == Turn::Reconnected {
            tracing::info!("Engine {} came back to life", self.addr);
        }
        tracing::info!("Registered Engine {} at {}", session.about.name, self.addr);
        self.cluster.turned(turn, &session.about);
    }

    /// Relies on the node from now on: its session has lasted.
    fn settle(&self, session: &mut Session) -> Result<(), Trouble> {
        session.stable_at = None;
        let mut state = self.cluster.write();
        let lasted = self.member(&mut state)?.lasted(&session.about.id);
        drop(state);
        self.tell(lasted.map_err(Trouble)?, session);
        Ok(())
    }

    /// Follows the engine until something goes wrong.
    async fn follow(&mut self, session: &mut Session) -> Trouble {
        loop {
            // In no fixed order: an engine that never stops sending events is still refreshed.
            let done = tokio::select! {
                events = session.events.next() => {
                    events.map(|events| self.take_events(session, &events))
                }
                () = self.wake.notified() => self.read_changes(session).await,
                () = until(session.stable_at) => self.settle(session),
                () = sleep_until(session.refresh_at) => self.refresh(session).await,
                id = next(&mut session.uninspected) => self.inspect(session, &id).await,
            };
            if let Err(trouble) = done {
                return trouble;
            }
        }
    }

    fn take_events(&mut self, session: &mut Session, events: &[u8]) {
        for line in events.split(|byte| *byte == b'\n') {
            if line.len() <= MAX_EVENT
                && let Ok(line) = std::str::from_utf8(line)
            {
                self.take_event(session, line.trim());
            }
        }
    }

    fn take_event(&mut self, session: &mut Session, line: &str) {
        let Ok(event) = serde_json::from_str::<EngineEvent<'_>>(line) else {
            return;
        };
        // An engine that is asked for events since a time tells those of that time, too.
        if event.time_nano > 0 && self.last_event.is_some_and(|last| event.time_nano <= last) {
            return;
        }
        self.last_event = Some(event.time_nano)
            .filter(|time| *time > 0)
            .or(self.last_event);
        if event.kind == "daemon" && event.action == "reload" {
            // Its labels may be others.
            session.slow_at = Instant::now();
            session.refresh_at = session.slow_at;
        }
        self.note(&event);
        if let Some(told) = with_node(line, &session.about) {
            self.cluster.inner.events.publish(told);
        }
    }

    /// Notes what has to be read again.
    fn note(&mut self, event: &EngineEvent<'_>) {
        match (&*event.kind, &*event.action) {
            ("container", "die") if self.ended.len() < MOST_ENDED => {
                self.ended.insert(event.id().into(), LATE_LISTS);
            }
            ("container", "start" | "destroy") => drop(self.ended.remove(event.id())),
            _ => {}
        }
        let mut state = self.cluster.write();
        if event.kind == "container" && event.action == "destroy" {
            state.remove(self.addr, &event.id().into());
            return;
        }
        let Some(member) = state.members.get_mut(self.addr) else {
            return;
        };
        if event.kind == "container"
            && let Some(kept) = member.kept.get_mut(event.id())
        {
            kept.heard(&event.action);
        }
        match &*event.kind {
            "container" if event.changes_container() => {
                member.changes.container(event.id());
            }
            "image" => {
                member.changes.objects(ObjectKind::Images);
            }
            "volume" => {
                member.changes.objects(ObjectKind::Volumes);
            }
            "network" => {
                member.changes.objects(ObjectKind::Networks);
            }
            _ => return,
        }
        self.wake.notify_one();
    }

    /// Lets changes come together for a while, unless somebody waits for them. Events are taken
    /// meanwhile: they come one by one, and not before the last one was taken.
    async fn collect(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let cluster = self.cluster.clone();
        let enough = cluster.inner.hurry.collect(COLLECT);
        tokio::pin!(enough);
        loop {
            tokio::select! {
                events = session.events.next() => self.take_events(session, &events?),
                () = &mut enough => return Ok(()),
            }
        }
    }

    /// Reads what is known to have changed.
    async fn read_changes(&mut self, session: &mut Session) -> Result<(), Trouble> {
        self.collect(session).await?;
        let changed = {
            let mut state = self.cluster.write();
            self.member(&mut state)?.changes.begin()
        };
        let containers = changed.containers;
        let mut is_late = false;
        if changed.all_containers || !containers.is_empty() {
            let is_many = changed.all_containers || containers.len() > MANY;
            let ids = (!is_many).then_some(&containers);
            let list = fetch::containers(&session.engine, ids).await?;
            is_late = self.take_list(session, &list, ids)?;
            // What is known may no longer be what the last whole list told.
            self.last_list = None;
        }
        for kind in changed.objects {
            let list = fetch::objects(&session.engine, kind).await?;
            self.take_objects(kind, &list)?;
        }
        self.member(&mut self.cluster.write())?.changes.done();
        if is_late {
            sleep(LATE).await;
        }
        self.cluster.inner.settled.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Asks whether the engine still answers, and whether there is a container that its events
    /// have not told of; now and then looks at all of it, as events may be lost.
    async fn refresh(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let is_due = Instant::now() >= session.slow_at;
        let newest = fetch::newest(&session.engine).await?;
        if is_due || newest.is_some_and(|id| !self.is_known(&id)) {
            let list = fetch::containers(&session.engine, None).await?;
            let seen = Some(fingerprint(&list));
            if self.last_list != seen {
                self.take_list(session, &list, None)?;
                self.last_list = seen;
            }
        }
        if is_due {
            let (about, spec) = fetch::introduce(&session.engine, self.entry).await?;
            session.about = Arc::new(about);
            session.slow_at = Instant::now() + SLOW;
            let mut state = self.cluster.write();
            let member = self.member(&mut state)?;
            member.about = Some(Arc::clone(&session.about));
            member.node.set_spec(spec);
            for kind in ObjectKind::ALL {
                member.changes.objects(kind);
            }
            self.wake.notify_one();
        }
        let mut state = self.cluster.write();
        let answered = self.member(&mut state)?.answered(&session.about.id);
        session.refresh_at = self.next_refresh();
        answered.map(|_| ()).map_err(Trouble)
    }

    /// Takes over a list: of all containers, or of those with these ids. Says whether something has
    /// to be read again.
    fn take_list(
        &mut self,
        session: &mut Session,
        list: &[u8],
        ids: Option<&BTreeSet<Arc<str>>>,
    ) -> Result<bool, Trouble> {
        let Items(items): Items<&RawValue> = serde_json::from_slice(list)
            .map_err(|error| Trouble::garbled("list of containers", &error))?;
        let origin = Origin {
            addr: self.addr,
            name: &session.about.name,
            ip: &session.about.ip,
            now: now(),
            skew: session.about.skew,
        };
        let mut read = Vec::with_capacity(items.len());
        let mut labels = 0;
        for item in items {
            let (container, resident) = Container::read(item, &origin)
                .map_err(|error| Trouble::garbled("list of containers", &error))?;
            labels += resident.labels.len();
            if labels > MAX_LABELS {
                let detail = format!("more than {MAX_LABELS} labels");
                return Err(Trouble::garbled("list of containers", &detail));
            }
            read.push((container, resident));
        }
        let there: BTreeSet<_> = read.iter().map(|(read, _)| Arc::clone(&read.id)).collect();
        let late = self.late(read.iter().map(|(read, _)| read));
        let mut state = self.cluster.write();
        // Engines list the newest first.
        for (container, resident) in read.into_iter().rev() {
            let id = Arc::clone(&container.id);
            // Who may have to create it again has to know all of it as it is now.
            let moves = resident.reschedule_policy() == ReschedulePolicy::OnNodeFailure;
            let is_inspected = state.put(container, resident);
            if moves || !is_inspected {
                session.uninspected.insert(id);
            }
        }
        match ids {
            None => {
                state.retain(self.addr, &there);
                self.ended.retain(|id, _| there.contains(id));
            }
            Some(ids) => {
                for id in ids.difference(&there) {
                    state.forget(self.addr, id);
                }
            }
        }
        let member = self.member(&mut state)?;
        for id in &late {
            member.changes.container(id);
            self.wake.notify_one();
        }
        Ok(!late.is_empty())
    }

    /// Those that a list calls running though their end was told, and that have to be read again.
    fn late<'l>(&mut self, listed: impl Iterator<Item = &'l Container>) -> BTreeSet<Arc<str>> {
        let mut late = BTreeSet::new();
        for container in listed {
            let Some(more) = self.ended.get_mut(&container.id) else {
                continue;
            };
            if *container.state == *"running" && *more > 0 {
                *more -= 1;
                late.insert(Arc::clone(&container.id));
            } else {
                self.ended.remove(&container.id);
            }
        }
        late
    }

    fn take_objects(&self, kind: ObjectKind, list: &[u8]) -> Result<(), Trouble> {
        let read = objects::read(kind, list)
            .map_err(|error| Trouble::garbled("list of objects", &error))?;
        let mut state = self.cluster.write();
        let member = self.member(&mut state)?;
        if kind == ObjectKind::Images {
            member.node.set_images(objects::for_scheduler(&read));
        }
        member.objects.set(kind, read);
        Ok(())
    }

    async fn inspect(&self, session: &Session, id: &Arc<str>) -> Result<(), Trouble> {
        let Some(inspect) = fetch::inspect(&session.engine, id).await? else {
            return Ok(());
        };
        match Resident::from_inspect(&inspect) {
            Ok(resident) => {
                let mut state = self.cluster.write();
                if resident.reschedule_policy() == ReschedulePolicy::OnNodeFailure {
                    state.keep(self.addr, id, inspect);
                }
                state.inspected(self.addr, resident);
            }
            Err(error) => tracing::warn!("container {id} of node {}: {error}", self.addr),
        }
        Ok(())
    }

    /// Notes a failure, or that a session ended early. Tells how long to wait; nothing when the node
    /// is no longer wanted.
    fn failed(&self, why: String, is_early: bool) -> Option<Duration> {
        let mut state = self.cluster.write();
        let member = self.member(&mut state).ok()?;
        let is_news = member.life.trouble() != Some(&why);
        if is_news {
            tracing::warn!("node {}: {why}", self.addr);
        }
        // A new connection reads all of it.
        member.changes.done();
        let turn = if is_early {
            member.ended_early(why)
        } else {
            member.failed(why)
        };
        let pause = member.life.pause(|below| rand::random_range(0..below));
        let about = member.about.clone();
        drop(state);
        if let Some((turn, about)) = turn.zip(about) {
            tracing::warn!("Flagging engine {} as unhealthy", self.addr);
            self.cluster.turned(turn, &about);
            self.cluster.inner.settled.send_modify(|count| *count += 1);
        }
        Some(pause)
    }

    fn is_known(&self, id: &str) -> bool {
        let state = self.cluster.read();
        let member = state.members.get(self.addr);
        member
            .is_some_and(|member| member.node.resident(id).is_some() || member.removed.contains(id))
    }

    fn next_refresh(&self) -> Instant {
        let inner = &self.cluster.inner;
        let (min, max) = (inner.settings.refresh_min, inner.settings.refresh_max);
        inner.began + refresh::due(inner.began.elapsed(), min, max, rand::random())
    }

    fn member<'s>(
        &self,
        state: &'s mut crate::cluster::state::State,
    ) -> Result<&'s mut Member, Trouble> {
        let member = state.members.get_mut(self.addr);
        member.ok_or_else(|| Trouble("the node is no longer wanted".to_owned()))
    }
}

/// Waits until a time; for ever, where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The next of those that wait; never, when there is none.
async fn next(waiting: &mut IndexSet<Arc<str>>) -> Arc<str> {
    match waiting.pop() {
        Some(next) => next,
        None => std::future::pending().await,
    }
}
