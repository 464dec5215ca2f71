//! Fuzz targets: what may be written in an expression, and what it then means.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bolero::{ValueGenerator, check, produce};
use regex::RegexBuilder;
use regex::bytes;

use crate::{Expression, Port};

/// What expressions are made of, and what must not be in them.
const PIECES: &[&str] = &[
    "node", "a", "b", "xy", "K", "7", "_", "-", ".", ":", "/", "*", "?", "+", "(", ")", "[", "]",
    "\\", "^", "$", "|", "~", "=", "!", "==", "!=", " ", "\t", "(?i)", "[^", "\\d", "\\b", "@",
    "{2}", "é", "\u{212a}", "",
];

/// What values are looked for in.
const LETTERS: &[&str] = &["a", "b", "xy", "K", "7", "-", ".", ":", "/", "é", "ab"];

/// Texts of these pieces.
fn text(
    pieces: &'static [&'static str],
    most: usize,
) -> impl ValueGenerator<Output = String> + use<> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=most).values(0..pieces.len());
    picks.map_gen(move |picks| picks.into_iter().map(|pick| pieces[pick]).collect())
}

/// The grammar as the original wrote it down, and what its values are compiled to.
fn compiled(text: &str) -> Option<regex::Regex> {
    let (key, value) = match (text.split_once("=="), text.split_once("!=")) {
        (Some(parts), _) | (None, Some(parts)) => parts,
        (None, None) => return None,
    };
    let fits = |text: &str, pattern: &str| {
        let pattern = bytes::RegexBuilder::new(pattern).unicode(false).build();
        pattern.expect("a pattern").is_match(text.as_bytes())
    };
    let is_key = fits(key, r"(?i)\A[a-z_][a-z0-9\-_.]+\z");
    let is_value = fits(
        value,
        r"(?i)\A[=!/]?~?[a-z0-9:\-_ \t\n\f\r.*/()?+\[\]\\^$|]+\z",
    );
    if !is_key || !is_value {
        return None;
    }
    let value = value.trim_start_matches('~');
    let is_regex = value.len() > 1 && value.starts_with('/') && value.ends_with('/');
    let pattern = match is_regex {
        true => value[1..value.len() - 1].to_owned(),
        false => format!("^{}$", value.replace('*', ".*")),
    };
    let mut builder = RegexBuilder::new(&pattern);
    builder.size_limit(1 << 20).build().ok()
}

#[test]
fn the_grammar_is_the_models() {
    check!().with_generator(text(PIECES, 12)).for_each(|text| {
        let parsed = Expression::parse(text);
        assert_eq!(parsed.is_ok(), compiled(text).is_some(), "{text:?}");
        if let Ok(parsed) = parsed {
            assert_eq!(parsed.to_string(), *text);
        }
    });
}

#[test]
fn a_value_describes_what_the_models_pattern_matches() {
    let cases = (text(PIECES, 8), text(LETTERS, 5), text(LETTERS, 5));
    check!()
        .with_generator(cases)
        .for_each(|(value, one, two)| {
            let expression = format!("ab=={value}");
            let Ok(parsed) = Expression::parse(&expression) else {
                return;
            };
            let model = compiled(&expression).expect("the grammar is the model's");
            for text in [one, two] {
                assert_eq!(
                    parsed.describes(text),
                    model.is_match(text),
                    "{expression:?} on {text:?}"
                );
            }
            // The way through a sorted map leaves none out.
            let map = BTreeMap::from([one, two].map(|text| (Arc::from(text.as_str()), ())));
            let found = parsed.found_in(&map);
            let expected = model.is_match(one) || model.is_match(two);
            assert_eq!(found, expected, "{expression:?} in {map:?}");
        });
}

#[test]
fn a_glob_is_what_it_looks_like() {
    fn is_like(glob: &[u8], text: &[u8]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| is_like(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && is_like(rest, &text[1..]),
        }
    }
    let cases = (
        text(&["a", "b", "ab", "*", "-", ":"], 7),
        text(&["a", "b", "-", ":"], 10),
    );
    check!().with_generator(cases).for_each(|(glob, text)| {
        if let Ok(parsed) = Expression::parse(&format!("node=={glob}")) {
            let expected = is_like(glob.as_bytes(), text.as_bytes());
            assert_eq!(parsed.describes(text), expected, "{glob:?} on {text:?}");
        }
    });
}

#[test]
fn ports_come_back() {
    let ports = text(
        &["8", "0", "6", "5535", "/", "tcp", "UDP", "+", "-", " "],
        5,
    );
    check!().with_generator(ports).for_each(|text| {
        let number = text.split('/').next().unwrap_or_default();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(port) = Port::parse(text) {
            assert!(is_number, "{text:?} is a port");
            assert_eq!(Port::parse(&port.to_string()), Some(port));
        }
    });
}
