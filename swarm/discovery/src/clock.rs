use std::ops::Add;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Point in time of a clock that keeps running while the machine is suspended, which the clock of
/// [`std::time::Instant`] does not. It stops while a hypervisor pauses the whole machine.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// Returns the current time.
    pub fn now() -> Self {
        // Linux has the clock since 2.6.39. Without one, no deadline may be trusted.
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME);
        Self(now.map_or(Duration::MAX, Duration::from))
    }

    /// Returns the time since the machine was started, in milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes() {
        let before = BootInstant::now();
        assert!(before.as_millis() > 0);
        assert!(BootInstant::now() >= before);
        assert!(before + Duration::from_secs(60) > BootInstant::now());
    }
}
