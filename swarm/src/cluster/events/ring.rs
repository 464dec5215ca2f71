//! The latest events of the cluster, within a limit of memory. Readers keep a position in it, so a
//! slow reader costs no memory: it loses its place and ends.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Event;

/// The most events.
pub(super) const MOST: usize = 8192;

/// The most bytes of all events.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Events, each with a number.
#[derive(Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The number of the oldest event.
    first: u64,
    bytes: usize,
}

/// What has a number.
pub(super) enum Slot {
    /// This event.
    Event(Arc<Event>),
    /// An event that is no longer kept.
    Gone,
    /// An event that has not happened yet.
    Future,
}

impl Ring {
    /// Appends an event; the oldest make room for it.
    pub(super) fn push(&mut self, event: Event) {
        self.bytes += event.json.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.bytes -= oldest.json.len();
            self.first += 1;
        }
    }

    /// The number of the oldest event.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next event gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The event of this number.
    pub(super) fn get(&self, number: u64) -> Slot {
        let Some(index) = number.checked_sub(self.first) else {
            return Slot::Gone;
        };
        let index = usize::try_from(index).ok();
        match index.and_then(|index| self.events.get(index)) {
            Some(event) => Slot::Event(Arc::clone(event)),
            None => Slot::Future,
        }
    }
}
