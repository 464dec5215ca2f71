//! Several addresses in one: `10.0.0.[1:200]:2375`.

use crate::{Entry, InvalidUrl};

/// The most addresses that one range may stand for.
const MOST: u64 = 100_000;

/// The nodes in a list that commas part.
pub(crate) fn expand_all(text: &str) -> Result<Vec<Entry>, InvalidUrl> {
    let mut entries = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        entries.extend(expand(part)?);
    }
    Ok(entries)
}

/// The nodes that a text stands for: one, or those of its one range `[FROM:TO]`, both included,
/// in decimal and without zeros before.
pub(crate) fn expand(text: &str) -> Result<Vec<Entry>, InvalidUrl> {
    let Some((before, from, to, after)) = range(text) else {
        return Ok(vec![text.parse()?]);
    };
    let no_range = || InvalidUrl::Range(text.to_owned());
    let from: u64 = from.parse().map_err(|_| no_range())?;
    let to: u64 = to.parse().map_err(|_| no_range())?;
    if to < from || to - from >= MOST {
        return Err(no_range());
    }
    let entry = |number: u64| Ok(format!("{before}{number}{after}").parse()?);
    (from..=to).map(entry).collect()
}

/// What is before, in and after the range. An IPv6 address in brackets is none.
fn range(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once('[')?;
    let (inside, after) = rest.split_once(']')?;
    let (from, to) = inside.split_once(':')?;
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    (is_number(from) && is_number(to)).then_some((before, from, to, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Vec<String>, InvalidUrl> {
        let entries = expand_all(text)?;
        Ok(entries.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_range_stands_for_all_its_numbers() {
        for (text, nodes) in [
            ("a:1", &["a:1"][..]),
            (
                "10.0.0.[9:11]:2375",
                &["10.0.0.9:2375", "10.0.0.10:2375", "10.0.0.11:2375"],
            ),
            ("h:[8:9]", &["h:8", "h:9"]),
            ("node[7:7].example:1, b:2", &["node7.example:1", "b:2"]),
            ("[fd00::1]:9", &["[fd00::1]:9"]),
            ("a:1,,", &["a:1"]),
        ] {
            assert_eq!(expanded(text).unwrap(), nodes, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_an_error() {
        for text in ["a[3:1]:1", "a[0:100000]:1", "a[1:99999999999999999999]:1"] {
            assert!(
                matches!(expanded(text), Err(InvalidUrl::Range(_))),
                "{text}"
            );
        }
        for text in ["a[x:y]:1", "a[1]:1", "a[1:2:1"] {
            assert!(
                matches!(expanded(text), Err(InvalidUrl::Entry(_))),
                "{text}"
            );
        }
    }
}
