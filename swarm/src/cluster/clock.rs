//! Engines whose clocks are wrong, and their times as the manager's clock would tell them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// How many seconds a clock may be wrong before it matters.
const UNNOTICED: i64 = 2;

/// How far an engine's clock is ahead of ours, in seconds: by what it told in its `info`, between
/// the time it was asked and that it answered. 0 for what is no matter.
pub(crate) fn skew(info: &Value, asked: SystemTime, answered: SystemTime) -> i64 {
    let told = info["SystemTime"].as_str();
    let Some(told) = told.and_then(|told| OffsetDateTime::parse(told, &Rfc3339).ok()) else {
        return 0;
    };
    let told = told.unix_timestamp();
    let (ahead, behind) = (told - seconds(answered), seconds(asked) - told);
    if ahead > UNNOTICED {
        ahead
    } else if behind > UNNOTICED {
        -behind
    } else {
        0
    }
}

/// An engine's time, as RFC 3339 has it, by our clock; what is no time, or stands for none, stays.
pub fn corrected(time: &str, skew: i64) -> Option<String> {
    let parsed = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    if parsed.year() <= 1 {
        return None;
    }
    let corrected = parsed.checked_sub(Duration::seconds(skew))?;
    corrected.format(&Rfc3339).ok()
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_clock_is_wrong_when_no_way_it_could_be_right() {
        let asked = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let answered = asked + Duration::from_secs(5);
        for (told, ahead) in [
            ("2001-09-09T01:46:40Z", 0),
            ("2001-09-09T01:46:45.123456789Z", 0),
            ("2001-09-09T03:46:47+02:00", 0),
            ("2001-09-09T01:46:48Z", 3),
            ("2001-09-09T01:46:37Z", -3),
            ("2001-09-09T02:46:40Z", 3595),
            ("yesterday", 0),
        ] {
            let info = json!({"SystemTime": told});
            assert_eq!(skew(&info, asked, answered), ahead, "{told}");
        }
        assert_eq!(skew(&json!({}), asked, answered), 0);
    }

    #[test]
    fn times_are_told_by_our_clock() {
        for (time, skew, told) in [
            ("2001-09-09T01:46:40.5Z", 40, Some("2001-09-09T01:46:00.5Z")),
            ("2001-09-09T01:46:40Z", -20, Some("2001-09-09T01:47:00Z")),
            ("0001-01-01T00:00:00Z", 40, None),
            ("", 40, None),
        ] {
            assert_eq!(corrected(time, skew).as_deref(), told, "{time}");
        }
    }
}
