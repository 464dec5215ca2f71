//! Words as the original took them.

use std::ffi::OsString;

/// Gives long flags their second dash: Go's flags do with one, and so do scripts of the time.
pub fn with_two_dashes(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ended = false;
    words
        .map(|word| {
            ended |= word == "--";
            match word.to_str().and_then(|text| text.strip_prefix('-')) {
                Some(flag) if !ended && is_long(flag) => format!("--{flag}").into(),
                _ => word,
            }
        })
        .collect()
}

/// A short flag has one letter; its value may follow without a blank, but is no small letter then.
fn is_long(flag: &str) -> bool {
    let name = flag.split('=').next().unwrap_or_default();
    name.len() > 1
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_or_two() {
        for (typed, read) in [
            ("-tlsverify", "--tlsverify"),
            ("-strategy=binpack", "--strategy=binpack"),
            ("-cluster-opt", "--cluster-opt"),
            ("--ttl", "--ttl"),
            ("-H", "-H"),
            ("-H=:2375", "-H=:2375"),
            ("-H:2375", "-H:2375"),
            ("-l", "-l"),
            ("-", "-"),
            ("token://x", "token://x"),
        ] {
            let words = [OsString::from(typed)].into_iter();
            assert_eq!(with_two_dashes(words), [OsString::from(read)], "{typed}");
        }
        let after = ["--", "-ttl"].map(OsString::from);
        assert_eq!(with_two_dashes(after.clone().into_iter()), after);
    }
}
