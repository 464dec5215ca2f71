use std::time::Duration;

/// The longest time that an option can give, in seconds: ten years. Deadlines are computed from it,
/// and clocks end.
pub const MAX_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// A time of a second to ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (1..=MAX_SECONDS).contains(&time.as_secs()) => Ok(time),
        Ok(_) | Err(_) => Err("a time is a number with a unit, such as 90s, 30m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_beyond_ten_years_is_rejected() {
        for (text, is_read) in [
            ("1s", true),
            ("3650days", true),
            ("500ms", false),
            ("3651days", false),
            ("18446744073709551615s", false),
            ("99999999999999999999s", false),
        ] {
            assert_eq!(duration(text).is_ok(), is_read, "{text}");
        }
    }
}
