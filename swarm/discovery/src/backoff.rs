//! Retry policy: the delay doubles with each failure in a row, up to a maximum.

use std::time::Duration;

/// Delays between the attempts of one task.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// A policy whose delays grow from the first to the longest.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Returns the delay after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u32 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Returns the delay after one more failure, between 50 % and 150 % of the policy's: clients
    /// that failed together do not retry together.
    pub fn next_jittered(&mut self) -> Duration {
        self.next_delay().mul_f64(0.5 + rand::random::<f64>())
    }

    /// Begins again with the first delay after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let delays: Vec<u64> = (0..5).map(|_| backoff.next_delay().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
        for _ in 0..100 {
            assert!(backoff.next_jittered() <= Duration::from_millis(7500));
        }
        backoff.reset();
        assert_eq!(backoff.next_delay(), Duration::from_secs(1));
    }
}
