use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What tells one list from another. Sentences about what containers do are left out: they age from
/// one minute to the next, and say nothing that a state or an event does not.
pub(super) fn fingerprint(list: &[u8]) -> u64 {
    let list = String::from_utf8_lossy(list);
    let mut parts = list.split("\"Status\":\"");
    let mut hasher = DefaultHasher::new();
    parts.next().hash(&mut hasher);
    for part in parts {
        let after = part.split_once('"').map(|(_, after)| after);
        after.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_age_of_a_status_makes_no_other_list() {
        let list = |state: &str, status: &str| {
            let item = format!(r#"{{"Id":"a","State":"{state}","Status":"{status}","Ports":[]}}"#);
            fingerprint(format!("[{item},{item}]").as_bytes())
        };
        let young = list("running", "Up 2 seconds");
        assert_eq!(young, list("running", "Up About a minute (healthy)"));
        assert_ne!(young, list("paused", "Up 2 seconds"));
        assert_ne!(fingerprint(b"[]"), fingerprint(br#"[{"Status":"x"}]"#));
    }
}
