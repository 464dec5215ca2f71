//! Fuzz targets: paths of the API on their way to an engine, parameters, and images' names.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.

use std::collections::BTreeMap;

use bolero::{ValueGenerator, check, produce};
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::forward::{Outgoing, tests::node};
use super::image_name::{ImageName, Version};
use super::query::{Filters, Query};
use super::{path, route};

/// What paths and names are made of.
const PIECES: &[&str] = &[
    "/",
    "//",
    "..",
    ".",
    "/../",
    "%2f",
    "%2F..",
    "%2e",
    "%25",
    "%",
    "%ff",
    "?",
    "#",
    " ",
    "+",
    "&",
    "=",
    "é",
    "\0",
    "\r\n",
    "v1.24",
    "/v1.40/",
    "/v",
    "1",
    "info",
    "/containers/",
    "/json",
    "images",
    "web",
    "node-1",
    "a@sha256:0",
    ":5000",
    "\\",
    ";",
];

/// What images' names are made of.
const NAMES: &[&str] = &[
    "docker.io",
    "index.docker.io",
    "library",
    "localhost",
    "reg.io",
    "h",
    ":5000",
    "/",
    "busybox",
    "a",
    ":",
    "1.2",
    "latest",
    "@",
    "sha256:0f",
    "_",
    "-",
];

/// Texts of these pieces.
fn text(
    pieces: &'static [&'static str],
    most: usize,
) -> impl ValueGenerator<Output = String> + use<> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=most).values(0..pieces.len());
    picks.map_gen(move |picks| picks.into_iter().map(|pick| pieces[pick]).collect())
}

#[test]
fn a_version_is_taken_off_and_nothing_else() {
    let versions = (
        text(&["/", "v", "1", ".", "40", "+", "x"], 8),
        text(PIECES, 4),
    );
    check!()
        .with_generator(versions)
        .for_each(|(before, after)| {
            let path = format!("{before}{after}");
            let (version, rest) = path::split_version(&path);
            let taken = path.strip_suffix(rest).expect("the rest ends the path");
            match version {
                None => assert_eq!(taken, "", "{path:?}"),
                Some(_) => {
                    let digits =
                        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    let parts = taken
                        .strip_prefix("/v")
                        .and_then(|taken| taken.split_once('.'));
                    let is_version = parts.is_some_and(|(one, two)| digits(one) && digits(two));
                    assert!(is_version && rest.starts_with('/'), "{path:?}");
                }
            }
        });
}

/// What an engine takes a path for: it decodes, then goes along `.` and `..`.
fn as_engines_read(path: &str) -> (String, bool) {
    let decoded = percent_decode_str(path).decode_utf8().expect("UTF-8");
    let strays = decoded
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."));
    (decoded.into_owned(), strays)
}

#[test]
fn a_name_stays_in_its_place() {
    check!()
        .with_generator((text(PIECES, 6), text(PIECES, 3)))
        .for_each(|(name, query)| {
            let query = query.replace(['#', ' ', '\0', '\r', '\n', 'é', '\\'], "");
            let outgoing = Outgoing::new(
                Method::GET,
                format!("/distribution/{}/json", path::encode(name)),
            );
            let node = node("1.24", "1.41");
            let Ok(request) = outgoing.query(Some(&query)).request(&node, None) else {
                // Only what would stray is refused.
                let (_, strays) = as_engines_read(&format!("/{}", path::encode(name)));
                assert!(strays, "{name:?} is refused");
                return;
            };
            let (read, strays) = as_engines_read(request.uri().path());
            assert_eq!(read, format!("/v1.41/distribution/{name}/json"));
            assert!(!strays, "{name:?} leads an engine elsewhere");
            let expected = Some(query.as_str()).filter(|query| !query.is_empty());
            assert_eq!(request.uri().query(), expected);
        });
}

#[test]
fn a_route_finds_the_name_that_was_encoded() {
    check!().with_generator(text(PIECES, 6)).for_each(|name| {
        if name.is_empty() {
            return;
        }
        let path = format!("/exec/{}/resize", path::encode(name));
        let found = route::find(&Method::POST, &path).expect("a row");
        assert_eq!(
            (found.name.as_str(), found.suffix),
            (name.as_str(), "/resize")
        );
    });
}

#[test]
fn any_path_has_a_row_or_none() {
    let methods = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::PUT,
        Method::HEAD,
    ];
    check!().with_generator(text(PIECES, 8)).for_each(|path| {
        for method in &methods {
            if let Some(found) = route::find(method, path) {
                assert!(path.ends_with(found.suffix), "{path:?}");
                let decoded = percent_decode_str(path).decode_utf8_lossy();
                assert!(
                    decoded.contains(&found.name),
                    "{path:?} names {:?}",
                    found.name
                );
            }
        }
    });
}

#[test]
fn parameters_come_back() {
    check!().with_generator(text(PIECES, 8)).for_each(|text| {
        let query = Query::parse(Some(text));
        let encoded = query.encoded();
        assert_eq!(Query::parse(encoded.as_deref()), query, "{text:?}");
        let is_clean = |byte: u8| byte.is_ascii_graphic() && !b"#?/\\".contains(&byte);
        assert!(
            encoded.iter().flat_map(|text| text.bytes()).all(is_clean),
            "{encoded:?}"
        );
    });
}

#[test]
fn filters_are_the_same_in_both_forms() {
    let keys = produce::<BTreeMap<String, Vec<String>>>();
    check!().with_generator(keys).for_each(|keys| {
        let mut keys = keys.clone();
        for values in keys.values_mut() {
            values.sort();
            values.dedup();
        }
        let switched: BTreeMap<&String, BTreeMap<&String, bool>> = keys
            .iter()
            .map(|(key, values)| (key, values.iter().map(|value| (value, true)).collect()))
            .collect();
        let expected = Filters(keys.clone());
        for text in [json!(keys).to_string(), json!(switched).to_string()] {
            assert_eq!(Filters::parse(&text).ok(), Some(expected.clone()), "{text}");
        }
    });
}

#[test]
fn filters_of_any_json_are_read_or_refused() {
    const JSON: &[&str] = &[
        "{", "}", "[", "]", "\"a\"", ":", ",", "true", "null", "1", "\\", "\"", " ",
    ];
    check!().with_generator(text(JSON, 12)).for_each(|text| {
        let read = Filters::parse(text);
        let is_object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
        assert!(read.is_err() || is_object || text.is_empty(), "{text:?}");
    });
}

/// The name as engines show it, after the rules of their own references.
fn familiar(name: &str) -> String {
    let (host, rest) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("docker.io", name),
    };
    if !matches!(host, "docker.io" | "index.docker.io") {
        return name.to_owned();
    }
    match rest.strip_prefix("library/") {
        Some(official) if !official.contains('/') => official.to_owned(),
        _ => rest.to_owned(),
    }
}

#[test]
fn an_images_name_is_split_as_engines_split_it() {
    check!().with_generator(text(NAMES, 8)).for_each(|text| {
        let name = ImageName::read(text);
        let (before, digest) = match text.split_once('@') {
            Some((before, digest)) => (before, Some(digest)),
            None => (text.as_str(), None),
        };
        let last = before.rsplit('/').next().unwrap_or_default();
        let tag = last.split_once(':').map(|(_, tag)| tag);
        let written = &before[..before.len() - tag.map_or(0, |tag| tag.len() + 1)];
        let version = match (digest, tag) {
            (Some(digest), _) => Some(Version::Digest(digest.to_owned())),
            (None, tag) => tag.map(|tag| Version::Tag(tag.to_owned())),
        };
        assert_eq!(name.repository, familiar(written), "{text:?}");
        assert_eq!(name.version, version, "{text:?}");
        // What is listed means the same, but for a path on the hub that looks like a registry.
        if familiar(&name.repository) == name.repository {
            let again = ImageName::read(&name.listed());
            assert_eq!(again.listed(), name.listed(), "{text:?}");
            assert_eq!(again.pull_query(), name.pull_query(), "{text:?}");
        }
    });
}
