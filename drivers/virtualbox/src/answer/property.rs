/// Reads `guestproperty get`: the value, if one is set.
pub fn guest_property(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Value:"))
        .map(str::trim)
        .filter(|value| !value.is_empty())
}
