//! Which connections of unauthenticated clients stay open. Pure: the caller opens and closes them.
//!
//! ```text
//!   admit ──▶ Waiting ──▶ Handshaking ──▶ authenticated: removed, no longer limited
//!                │ ▲            │
//!   begin_request│ │end_request └──▶ Waiting (no certificate, or an agent's)
//!                ▼ │
//!              Active
//! ```
//!
//! When there are too many waiting or handshaking connections, the oldest of them is evicted: a
//! real client needs milliseconds to leave these stages, a connection that only occupies a place
//! does not leave them at all. A connection with a request in progress is never evicted.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// File descriptors above which no higher limit is useful: what an unauthenticated client costs is
/// memory then.
const AMPLE_DESCRIPTORS: u64 = 8192;

/// Part of the file descriptors that waiting connections may take: one in so many. As many may have
/// a request in progress. The rest is for authenticated clients, engines and files.
const WAITING_SHARE: u64 = 4;

/// Smallest limit of any kind, however few file descriptors there are.
const LEAST: usize = 8;

/// How many connections unauthenticated clients may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// Connections that wait or are in a handshake.
    pub(super) waiting: usize,
    /// Those of one [`Source`].
    pub(super) waiting_per_source: usize,
    /// Connections that are in a handshake.
    pub(super) handshakes: usize,
    /// Connections with a request in progress.
    pub(super) active: usize,
}

impl Limits {
    /// Limits for a process that may open so many files.
    pub(super) fn for_descriptors(descriptors: u64) -> Self {
        let waiting = descriptors.min(AMPLE_DESCRIPTORS) / WAITING_SHARE;
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX).max(LEAST);
        // Requests of a plain listener may be thousands of `logs -f`, each with one more descriptor
        // towards an engine.
        let active = usize::try_from(descriptors / WAITING_SHARE).unwrap_or(usize::MAX);
        let half = (waiting / 2).max(LEAST);
        Self {
            waiting,
            waiting_per_source: half,
            handshakes: half,
            active: active.max(LEAST),
        }
    }
}

/// Where a connection comes from: an IPv4 address or an IPv6 network of 64 bits, as one host can
/// have all addresses of that.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 => v4,
        })
    }
}

/// Identifies a connection.
pub(super) type Id = u64;

/// Position in the order of eviction: the lowest is the oldest.
type Age = u64;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Waiting,
    Handshaking,
    /// So many requests: one may begin before the end of the last one is noticed.
    Active(u32),
}

#[derive(Debug)]
struct Client {
    source: Source,
    age: Age,
    stage: Stage,
}

/// The connections of unauthenticated clients.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    next: u64,
    clients: HashMap<Id, Client>,
    /// Waiting and handshaking connections.
    evictable: BTreeMap<Age, Id>,
    by_source: HashMap<Source, BTreeMap<Age, Id>>,
    handshaking: BTreeMap<Age, Id>,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: 0,
            clients: HashMap::new(),
            evictable: BTreeMap::new(),
            by_source: HashMap::new(),
            handshaking: BTreeMap::new(),
        }
    }

    /// Adds a connection. Returns its id and the connection that is evicted for it.
    pub(super) fn admit(&mut self, source: Source) -> (Id, Option<Id>) {
        let id = self.take_number();
        let client = Client {
            source,
            age: id,
            stage: Stage::Waiting,
        };
        self.clients.insert(id, client);
        self.enqueue(id);
        (id, self.evict_surplus(source))
    }

    /// Notes that a handshake has begun. Returns the connection whose handshake is given up for it.
    pub(super) fn begin_handshake(&mut self, id: Id) -> Option<Id> {
        let client = self.clients.get_mut(&id)?;
        if client.stage != Stage::Waiting {
            return None;
        }
        client.stage = Stage::Handshaking;
        self.handshaking.insert(client.age, id);
        if self.handshaking.len() <= self.limits.handshakes {
            return None;
        }
        let (_, oldest) = self.handshaking.first_key_value()?;
        self.evict(*oldest)
    }

    /// Notes that the handshake is done and the client is still unauthenticated.
    pub(super) fn end_handshake(&mut self, id: Id) {
        if let Some(client) = self.clients.get_mut(&id)
            && client.stage == Stage::Handshaking
        {
            self.handshaking.remove(&client.age);
            client.stage = Stage::Waiting;
        }
    }

    /// Notes that a request has begun; until it ends, the connection is not evicted. False where
    /// too many requests are in progress.
    pub(super) fn begin_request(&mut self, id: Id) -> bool {
        let active = self.clients.len().saturating_sub(self.evictable.len());
        let Some(client) = self.clients.get_mut(&id) else {
            return false;
        };
        if let Stage::Active(requests) = &mut client.stage {
            *requests = requests.saturating_add(1);
            return true;
        }
        if active >= self.limits.active {
            return false;
        }
        self.dequeue(id);
        if let Some(client) = self.clients.get_mut(&id) {
            client.stage = Stage::Active(1);
        }
        true
    }

    /// Notes that the request has ended. Returns the connection that is evicted because one more
    /// is waiting now.
    pub(super) fn end_request(&mut self, id: Id) -> Option<Id> {
        let age = self.take_number();
        let client = self.clients.get_mut(&id)?;
        match &mut client.stage {
            Stage::Active(requests) if *requests > 1 => {
                *requests -= 1;
                return None;
            }
            Stage::Active(_) => {}
            Stage::Waiting | Stage::Handshaking => return None,
        }
        client.stage = Stage::Waiting;
        client.age = age;
        let source = client.source;
        self.enqueue(id);
        self.evict_surplus(source)
    }

    /// Removes a connection that has ended or was authenticated.
    pub(super) fn remove(&mut self, id: Id) {
        self.dequeue(id);
        self.clients.remove(&id);
    }

    /// Evicts the oldest connection, to get back its file descriptor.
    pub(super) fn evict_oldest(&mut self) -> Option<Id> {
        let (_, oldest) = self.evictable.first_key_value()?;
        self.evict(*oldest)
    }

    fn evict_surplus(&mut self, source: Source) -> Option<Id> {
        let of_source = self.by_source.get(&source)?;
        if of_source.len() > self.limits.waiting_per_source {
            let (_, oldest) = of_source.first_key_value()?;
            return self.evict(*oldest);
        }
        if self.evictable.len() > self.limits.waiting {
            return self.evict_oldest();
        }
        None
    }

    fn evict(&mut self, id: Id) -> Option<Id> {
        self.remove(id);
        Some(id)
    }

    fn enqueue(&mut self, id: Id) {
        if let Some(client) = self.clients.get(&id) {
            self.evictable.insert(client.age, id);
            let of_source = self.by_source.entry(client.source).or_default();
            of_source.insert(client.age, id);
        }
    }

    fn dequeue(&mut self, id: Id) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        self.evictable.remove(&client.age);
        self.handshaking.remove(&client.age);
        if let Some(of_source) = self.by_source.get_mut(&client.source) {
            of_source.remove(&client.age);
            if of_source.is_empty() {
                self.by_source.remove(&client.source);
            }
        }
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        waiting: 4,
        waiting_per_source: 3,
        handshakes: 2,
        active: 2,
    };

    fn source(number: u8) -> Source {
        Source::from(IpAddr::from([10, 0, 0, number]))
    }

    enum Step {
        Admit(u8),
        Handshake(Id),
        HandshakeEnds(Id),
        Begin(Id, bool),
        End(Id),
        Remove(Id),
        Exhausted,
    }

    /// Runs steps, each with the connection that it evicts. Ids and ages share one counter: the
    /// n-th `Admit` or `End` gets number n.
    fn run(steps: &[(Step, Option<Id>)]) {
        let mut admission = Admission::new(LIMITS);
        for (number, (step, expected)) in steps.iter().enumerate() {
            let evicted = match step {
                Step::Admit(address) => admission.admit(source(*address)).1,
                Step::Handshake(id) => admission.begin_handshake(*id),
                Step::HandshakeEnds(id) => {
                    admission.end_handshake(*id);
                    None
                }
                Step::Begin(id, admitted) => {
                    assert_eq!(admission.begin_request(*id), *admitted, "step {number}");
                    None
                }
                Step::End(id) => admission.end_request(*id),
                Step::Remove(id) => {
                    admission.remove(*id);
                    None
                }
                Step::Exhausted => admission.evict_oldest(),
            };
            assert_eq!(evicted, *expected, "step {number}");
        }
    }

    #[test]
    fn admit_at_source_limit_evicts_oldest_of_that_source() {
        run(&[
            (Step::Admit(9), None),
            (Step::Admit(1), None),
            (Step::Admit(1), None),
            (Step::Admit(1), None),
            (Step::Admit(1), Some(1)),
            (Step::Admit(1), Some(2)),
        ]);
    }

    #[test]
    fn admit_at_global_limit_evicts_oldest_of_all() {
        run(&[
            (Step::Admit(1), None),
            (Step::Admit(2), None),
            (Step::Admit(3), None),
            (Step::Admit(4), None),
            (Step::Admit(5), Some(0)),
            (Step::Remove(1), None),
            (Step::Admit(6), None),
            (Step::Admit(7), Some(2)),
        ]);
    }

    #[test]
    fn handshake_limit_evicts_oldest_handshake_only() {
        run(&[
            (Step::Admit(1), None),
            (Step::Admit(2), None),
            (Step::Admit(3), None),
            (Step::Admit(4), None),
            (Step::Handshake(1), None),
            (Step::Handshake(2), None),
            (Step::Handshake(3), Some(1)),
            (Step::HandshakeEnds(2), None),
            (Step::Admit(5), None),
            (Step::Handshake(4), None),
        ]);
    }

    #[test]
    fn active_request_is_never_evicted() {
        run(&[
            (Step::Admit(1), None),
            (Step::Begin(0, true), None),
            (Step::Admit(1), None),
            (Step::Admit(1), None),
            (Step::Admit(1), None),
            (Step::Admit(1), Some(1)),
            // The connection waits again, and is the youngest that does.
            (Step::End(0), Some(2)),
            (Step::Admit(1), Some(3)),
            (Step::Exhausted, Some(4)),
        ]);
    }

    #[test]
    fn request_beyond_active_limit_is_rejected() {
        run(&[
            (Step::Admit(1), None),
            (Step::Admit(2), None),
            (Step::Admit(3), None),
            (Step::Begin(0, true), None),
            (Step::Begin(1, true), None),
            (Step::Begin(2, false), None),
            (Step::End(0), None),
            (Step::Begin(2, true), None),
            (Step::Begin(77, false), None),
        ]);
    }

    #[test]
    fn request_that_overlaps_the_last_one_keeps_the_connection_active() {
        run(&[
            (Step::Admit(1), None),
            (Step::Begin(0, true), None),
            (Step::Begin(0, true), None),
            (Step::End(0), None),
            (Step::Exhausted, None),
            (Step::End(0), None),
            (Step::End(0), None),
            (Step::Exhausted, Some(0)),
            (Step::End(0), None),
        ]);
    }

    proptest! {
        #[test]
        fn tables_agree_whatever_happens(steps in vec((0..6_u8, 0..12_u64), 0..200)) {
            let mut admission = Admission::new(LIMITS);
            for (step, number) in steps {
                match step {
                    0 | 1 => { admission.admit(source(u8::try_from(number % 3).unwrap())); }
                    2 => { admission.begin_handshake(number); }
                    3 => admission.end_handshake(number),
                    4 => { admission.begin_request(number); }
                    _ => { admission.end_request(number); }
                }
                let Admission { clients, evictable, by_source, handshaking, .. } = &admission;
                let is_active = |client: &&Client| matches!(client.stage, Stage::Active(_));
                let active = clients.values().filter(is_active).count();
                prop_assert!(active <= LIMITS.active);
                prop_assert_eq!(evictable.len(), clients.len() - active);
                prop_assert!(evictable.len() <= LIMITS.waiting);
                let per_source = by_source.values().map(BTreeMap::len);
                prop_assert_eq!(per_source.clone().sum::<usize>(), evictable.len());
                prop_assert!(per_source.max().unwrap_or(0) <= LIMITS.waiting_per_source);
                prop_assert!(handshaking.len() <= LIMITS.handshakes);
                for id in handshaking.values() {
                    prop_assert_eq!(clients[id].stage, Stage::Handshaking);
                }
            }
        }
    }

    #[test]
    fn exhausted_descriptors_evict_nothing_when_all_are_active() {
        run(&[
            (Step::Exhausted, None),
            (Step::Admit(1), None),
            (Step::Begin(0, true), None),
            (Step::Exhausted, None),
        ]);
    }

    #[test]
    fn removed_connections_leave_nothing_behind() {
        let mut admission = Admission::new(LIMITS);
        for round in 0..100_u8 {
            let (id, _) = admission.admit(source(round));
            admission.begin_handshake(id);
            admission.end_handshake(id);
            if admission.begin_request(id) {
                admission.end_request(id);
            }
            admission.remove(id);
        }
        assert!(admission.clients.is_empty() && admission.evictable.is_empty());
        assert!(admission.by_source.is_empty() && admission.handshaking.is_empty());
    }

    #[test]
    fn limits_follow_the_file_descriptors() {
        for (descriptors, waiting, half, active) in [
            (0, 8, 8, 8),
            (256, 64, 32, 64),
            (1024, 256, 128, 256),
            (8192, 2048, 1024, 2048),
            (1 << 20, 2048, 1024, 1 << 18),
        ] {
            let limits = Limits::for_descriptors(descriptors);
            let expected = Limits {
                waiting,
                waiting_per_source: half,
                handshakes: half,
                active,
            };
            assert_eq!(limits, expected, "{descriptors}");
        }
        assert!(Limits::for_descriptors(u64::MAX).active > 1 << 20);
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("fd00::1"), source("fd00::2:3:4:5"));
        assert_ne!(source("fd00:0:0:1::1"), source("fd00:0:0:2::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    }
}
