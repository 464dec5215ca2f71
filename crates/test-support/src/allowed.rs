//! The tests that may be skipped in CI: one per line, a name or a pattern with `*`, then why.

/// The list itself, which `tests/run` explains.
pub const LIST: &str = include_str!("../../../tests/allowed-skips");

/// Returns whether the list has a pattern for a test.
pub fn is_allowed(list: &str, test: &str) -> bool {
    let lines = list.lines().map(str::trim);
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    // An entry without a reason allows nothing.
    let patterns = entries.filter_map(|entry| entry.split_once(char::is_whitespace));
    patterns
        .map(|(pattern, _)| pattern)
        .any(|pattern| matches(pattern, test))
}

/// Returns whether a name matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    let starts = rest.char_indices().map(|(start, _)| start);
    starts
        .chain([rest.len()])
        .any(|start| rest.get(start..).is_some_and(|rest| matches(tail, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("real::starts", "real::starts", true),
            ("real::starts", "real::starts_again", false),
            ("real::*", "real::starts", true),
            ("*::starts", "real::starts", true),
            ("r*l::*s", "real::starts", true),
            ("r*x", "real::starts", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn only_entries_with_a_reason_allow_a_skip() {
        let list = "# comment\n\nreal::* needs VirtualBox\nbare\n";
        assert!(is_allowed(list, "real::starts"));
        assert!(!is_allowed(list, "bare"));
        assert!(!is_allowed(list, "# comment"));
        assert!(!is_allowed("", "real::starts"));
    }

    #[test]
    fn every_entry_of_the_list_has_a_reason() {
        let entries = LIST.lines().filter(|line| !line.starts_with('#'));
        for entry in entries.filter(|line| !line.trim().is_empty()) {
            let reason = entry.split_once(char::is_whitespace);
            assert!(
                reason.is_some_and(|(_, reason)| !reason.trim().is_empty()),
                "{entry:?}"
            );
        }
    }
}
