//! Several addresses in one: `10.0.0.[1:200]:2375`.

use crate::{Entry, InvalidUrl};

/// The most nodes that a list may stand for.
const MOST: usize = 100_000;

/// The nodes in a list that commas part.
pub(crate) fn expand_all(text: &str) -> Result<Vec<Entry>, InvalidUrl> {
    let mut entries = Vec::new();
    let parts = text.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        expand(part, &mut entries)?;
    }
    Ok(entries)
}

/// Adds the nodes that a text stands for: one, or those of its one range `[FROM:TO]`, both
/// included, in decimal and without zeros before.
fn expand(text: &str, entries: &mut Vec<Entry>) -> Result<(), InvalidUrl> {
    let Some((before, from, to, after)) = range(text) else {
        entries.push(text.parse()?);
        return Ok(());
    };
    let no_range = || InvalidUrl::Range(text.to_owned());
    let from: u64 = from.parse().map_err(|_| no_range())?;
    let to: u64 = to.parse().map_err(|_| no_range())?;
    let room = MOST.saturating_sub(entries.len());
    let steps = to.checked_sub(from).map(usize::try_from);
    if !matches!(steps, Some(Ok(steps)) if steps < room) {
        return Err(no_range());
    }
    for number in from..=to {
        entries.push(format!("{before}{number}{after}").parse()?);
    }
    Ok(())
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
    use proptest::prelude::*;

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
        for text in [
            "a[3:1]:1",
            "a[0:100000]:1",
            "a[1:60000]:1,b[1:60000]:1",
            "a[1:99999999999999999999]:1",
        ] {
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

    proptest! {
        #[test]
        fn a_range_is_as_long_as_it_says(
            before in "[a-z.]{1,5}", after in "(\\.[a-z]{1,5})?", from in 0_u64..300, more in 0_u64..300,
        ) {
            let text = format!("{before}[{from}:{}]{after}:1", from + more);
            let nodes: Vec<String> =
                (from..=from + more).map(|number| format!("{before}{number}{after}:1")).collect();
            prop_assert_eq!(expanded(&text), Ok(nodes));
        }
    }
}
