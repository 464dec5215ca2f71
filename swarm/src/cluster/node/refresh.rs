//! When an engine is looked at again.

use std::time::Duration;

/// When the next look is due, since the cluster began, by the time it is now: `part` (0 to 1) of the
/// way from `min` to `max` from now, so that engines take turns. Where that leaves room it is a whole
/// second, so that the looks of a second cost a manager of many engines one awakening and not one
/// for each.
pub(crate) fn due(now: Duration, min: Duration, max: Duration, part: f64) -> Duration {
    let earliest = now.saturating_add(min);
    let spread = max.saturating_sub(min).as_secs_f64() * part;
    let spread = Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX);
    let due = earliest.saturating_add(spread);
    let whole = Duration::from_secs(due.as_secs());
    if whole >= earliest { whole } else { due }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_look_is_due_between_the_bounds(now: u32, min in 0..100_000_u64, more in 0..100_000_u64, part in 0.0..1.0) {
            let (now, min) = (Duration::from_millis(now.into()), Duration::from_millis(min));
            let max = min + Duration::from_millis(more);
            let due = due(now, min, max, part);
            prop_assert!((now + min..=now + max).contains(&due), "{due:?}");
        }
    }

    #[test]
    fn looks_are_due_together_where_there_is_room() {
        let (now, half) = (Duration::from_millis(10_500), Duration::from_millis(500));
        for (min, max, part, expected) in [
            (30_000, 60_000, 0.5, 55_000),
            (30_000, 60_000, 0.51, 55_000),
            (30_000, 60_000, 0.0, 40_500),
            (30_000, 30_000, 0.7, 40_500),
            (500, 500, 0.0, 11_000),
            (100, 200, 0.5, 10_650),
        ] {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
            assert_eq!(due(now, min, max, part), Duration::from_millis(expected));
        }
        assert_eq!(due(half, half, half, 1.0), Duration::from_secs(1));
    }
}
