//! Limits how often a message that outsiders can cause is logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one message of a kind through per interval and counts the others.
#[derive(Debug)]
pub(super) struct LogThrottle {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    /// The number of messages suppressed since the last one that was logged; `None` where this
    /// message is to be suppressed, too.
    pub(super) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = state
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < self.interval);
        if is_early {
            state.suppressed = state.suppressed.saturating_add(1);
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_admits_one_message_per_interval_and_counts_the_rest() {
        let throttle = LogThrottle::new(Duration::from_secs(10));
        let begin = Instant::now();
        for (seconds, expected) in [
            (0, Some(0)),
            (1, None),
            (9, None),
            (10, Some(2)),
            (19, None),
            (25, Some(1)),
            (60, Some(0)),
        ] {
            let now = begin + Duration::from_secs(seconds);
            assert_eq!(throttle.admit(now), expected, "after {seconds} s");
        }
    }
}
