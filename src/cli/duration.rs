use std::time::Duration;

/// A time of at least a second.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_secs(1) => Ok(time),
        Ok(_) | Err(_) => Err("a time is a number with a unit, such as 90s, 30m or 2h".to_owned()),
    }
}
