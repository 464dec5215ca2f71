//! The sentence about what a container does: `Up 5 minutes (healthy)`.
//!
//! Engines write it when they are asked. Read here, it ages by itself: what is kept is since when
//! it holds.

use std::borrow::Cow;

/// Words that most containers share, so that each need not keep its own.
const WORDS: [&str; 9] = [
    "",
    "running",
    "exited",
    "created",
    "paused",
    "Up ",
    "Created",
    " ago",
    " (healthy)",
];

/// A status that knows its age.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    /// Before the age; all of it where there is none.
    lead: Cow<'static, str>,
    /// Since when, in seconds of the manager's clock.
    since: Option<i64>,
    /// After the age.
    tail: Cow<'static, str>,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

impl Status {
    /// Reads what an engine wrote at a time.
    pub(crate) fn read(text: &str, written: i64) -> Self {
        let whole = || Self {
            lead: word(text),
            since: None,
            tail: Cow::Borrowed(""),
        };
        let begins = match text.strip_prefix("Up ") {
            Some(_) => "Up ".len(),
            None => match text.find(") ") {
                Some(end) => end + ") ".len(),
                None => return whole(),
            },
        };
        let (lead, rest) = text.split_at(begins);
        let ends = rest.find(" ago").or_else(|| rest.find(" ("));
        let (age, tail) = rest.split_at(ends.unwrap_or(rest.len()));
        match seconds(age) {
            Some(age) => Self {
                lead: word(lead),
                since: Some(written.saturating_sub(age)),
                tail: word(tail),
            },
            None => whole(),
        }
    }

    /// The sentence now.
    pub(crate) fn write(&self, now: i64, into: &mut String) {
        into.push_str(&self.lead);
        if let Some(since) = self.since {
            write_age(now.saturating_sub(since).max(0), into);
        }
        into.push_str(&self.tail);
    }

    /// The code that a container ended with.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        let code = self.lead.strip_prefix("Exited (")?;
        code.split(')').next()?.parse().ok()
    }

    /// What the health check says: `none` where there is no check.
    pub(crate) fn health(&self) -> &'static str {
        [
            ("(healthy)", "healthy"),
            ("(unhealthy)", "unhealthy"),
            ("(health: starting)", "starting"),
        ]
        .into_iter()
        .find_map(|(words, health)| self.tail.contains(words).then_some(health))
        .unwrap_or("none")
    }
}

/// A word, shared where it is a common one.
pub(super) fn word(text: &str) -> Cow<'static, str> {
    match WORDS.iter().find(|word| **word == text) {
        Some(word) => Cow::Borrowed(word),
        None => Cow::Owned(text.to_owned()),
    }
}

/// The age behind the engine's words for it.
fn seconds(words: &str) -> Option<i64> {
    match words {
        "Less than a second" => return Some(0),
        "About a minute" => return Some(MINUTE),
        "About an hour" => return Some(HOUR),
        _ => {}
    }
    let (number, unit) = words.split_once(' ')?;
    let number: i64 = number.parse().ok()?;
    let unit = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => MINUTE,
        "hour" => HOUR,
        "day" => DAY,
        "week" => WEEK,
        "month" => MONTH,
        "year" => YEAR,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// As engines write it.
fn write_age(seconds: i64, into: &mut String) {
    let hours = seconds.saturating_add(HOUR / 2) / HOUR;
    let (number, unit) = match seconds {
        ..1 => return into.push_str("Less than a second"),
        1 => return into.push_str("1 second"),
        2..60 => (seconds, " seconds"),
        _ if seconds < 2 * MINUTE => return into.push_str("About a minute"),
        _ if seconds < HOUR => (seconds / MINUTE, " minutes"),
        _ if hours <= 1 => return into.push_str("About an hour"),
        _ if hours < 48 => (hours, " hours"),
        _ if hours < 24 * 7 * 2 => (hours / 24, " days"),
        _ if hours < 24 * 30 * 2 => (hours / 24 / 7, " weeks"),
        _ if hours < 24 * 365 * 2 => (hours / 24 / 30, " months"),
        _ => (seconds / YEAR, " years"),
    };
    into.push_str(&number.to_string());
    into.push_str(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(text: &str, by: i64) -> String {
        let mut now = String::new();
        Status::read(text, 1_000).write(1_000 + by, &mut now);
        now
    }

    #[test]
    fn a_status_ages() {
        for (text, by, expected) in [
            ("Up Less than a second", 0, "Up Less than a second"),
            ("Up Less than a second", 1, "Up 1 second"),
            ("Up 5 seconds", 3, "Up 8 seconds"),
            ("Up 5 seconds (healthy)", 60, "Up About a minute (healthy)"),
            ("Up 3 minutes (Paused)", 120, "Up 5 minutes (Paused)"),
            (
                "Up 5 minutes (health: starting)",
                0,
                "Up 5 minutes (health: starting)",
            ),
            (
                "Exited (0) 59 minutes ago",
                60,
                "Exited (0) About an hour ago",
            ),
            ("Exited (137) 2 hours ago", HOUR, "Exited (137) 3 hours ago"),
            (
                "Restarting (1) 4 seconds ago",
                0,
                "Restarting (1) 4 seconds ago",
            ),
            ("Up 2 days", 12 * DAY, "Up 2 weeks"),
            ("Up 2 months", 0, "Up 2 months"),
            ("Up 3 years", 0, "Up 3 years"),
            ("Created", 9, "Created"),
            ("Dead", 9, "Dead"),
            ("Removal In Progress", 9, "Removal In Progress"),
            ("Up since forever", 9, "Up since forever"),
            ("Up 5 fortnights", 9, "Up 5 fortnights"),
            ("", 9, ""),
        ] {
            assert_eq!(aged(text, by), expected, "{text}");
        }
    }

    #[test]
    fn what_it_says_is_read() {
        let read = |text| Status::read(text, 0);
        assert_eq!(read("Exited (137) 2 hours ago").exit_code(), Some(137));
        assert_eq!(read("Up 2 hours").exit_code(), None);
        for (text, health) in [
            ("Up 2 hours (healthy)", "healthy"),
            ("Up 2 hours (unhealthy)", "unhealthy"),
            ("Up 2 hours (health: starting)", "starting"),
            ("Up 2 hours", "none"),
            ("Exited (0) 2 hours ago", "none"),
        ] {
            assert_eq!(read(text).health(), health);
        }
    }
}
