//! Fuzz targets: discovery URLs, the entries in them, and their ranges.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::Ipv6Addr;

use bolero::{ValueGenerator, check, produce};
use rswarm_discovery::{DiscoveryUrl, Entry};

/// What URLs are made of, and what must not be in them.
const PIECES: &[&str] = &[
    "nodes://",
    "file://",
    "token://",
    "etcd://",
    "consul://",
    "zk://",
    "embedded://",
    "://",
    "/",
    ":",
    ",",
    "[",
    "]",
    "[1:3]",
    "[09:11]",
    "[7:5]",
    "[0:100000]",
    "[1:60000]",
    "[fd00::1]",
    "::",
    "fd00::1",
    "10.0.0.",
    "1",
    "2375",
    ":2375",
    "65536",
    "0",
    "+",
    "-",
    "_",
    ".",
    "a",
    "node",
    " ",
    "\n",
    "é",
    "%2f",
    "?",
    "#",
    "@",
];

/// The most nodes that one text may stand for.
const MOST: usize = 100_000;

/// Texts of these pieces.
fn text(
    pieces: &'static [&'static str],
    most: usize,
) -> impl ValueGenerator<Output = String> + use<> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=most).values(0..pieces.len());
    picks.map_gen(move |picks| picks.into_iter().map(|pick| pieces[pick]).collect())
}

/// The host and the port, as plainly as can be said.
fn parts(text: &str) -> Option<(&str, u16)> {
    let text = text.trim();
    let (host, port) = text.split_at(text.rfind(':')?);
    let port = &port[1..];
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number: u128 = port.parse().ok().filter(|_| is_number)?;
    let host = match host.starts_with('[') && host.ends_with(']') && host.len() > 1 {
        true => {
            let address = &host[1..host.len() - 1];
            address.parse::<Ipv6Addr>().ok().map(|_| address)?
        }
        false => {
            let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            let is_host = !host.is_empty() && !host.starts_with('-') && host.chars().all(is_good);
            is_host.then_some(host)?
        }
    };
    let port = u16::try_from(number).ok().filter(|port| *port > 0)?;
    Some((host, port))
}

#[test]
fn what_a_url_says_comes_back() {
    check!().with_generator(text(PIECES, 8)).for_each(|text| {
        let Ok(url) = text.parse::<DiscoveryUrl>() else {
            return;
        };
        if let DiscoveryUrl::Nodes(nodes) = &url {
            assert!(!nodes.is_empty() && nodes.len() <= MOST, "{text:?}");
        }
        assert_eq!(url.to_string().parse(), Ok(url), "{text:?}");
    });
}

#[test]
fn an_entry_is_a_host_and_a_port() {
    check!().with_generator(text(PIECES, 5)).for_each(|text| {
        let entry: Option<Entry> = text.parse().ok();
        let read = entry.as_ref().map(|entry| (entry.host(), entry.port()));
        assert_eq!(read, parts(text), "{text:?}");
        if let Some(entry) = entry {
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
    });
}

#[test]
fn a_range_stands_for_its_numbers_and_no_more() {
    let bounds = (produce::<u64>(), produce::<u64>());
    let small = (0..300_u64, 0..300_u64);
    let places = (text(&["a", "10.", "-", "b"], 3), text(&[".a", "0", ":"], 2));
    let cases = (bounds, small, places, produce::<bool>());
    let check = check!().with_generator(cases);
    check.for_each(|(wide, small, (before, after), is_wide)| {
        let (from, to) = if *is_wide { *wide } else { *small };
        let text = format!("nodes://{before}[{from}:{to}]{after}:2375");
        let expanded: Vec<String> = (from..=to)
            .take(MOST + 1)
            .map(|number| format!("{before}{number}{after}:2375"))
            .collect();
        let is_expected = !expanded.is_empty()
            && expanded.len() <= MOST
            && expanded.iter().all(|entry| parts(entry).is_some());
        match text.parse() {
            Ok(DiscoveryUrl::Nodes(nodes)) => {
                let shown: Vec<String> = nodes.iter().map(ToString::to_string).collect();
                assert_eq!(shown, expanded, "{text:?}");
            }
            Ok(other) => unreachable!("{other:?}"),
            Err(error) => assert!(!is_expected, "{text:?}: {error}"),
        }
    });
}
