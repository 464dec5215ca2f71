//! Paths of the API: their version prefix, and names in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmachine_engine::ApiVersion;

/// What may stand in a path as it is. A slash may: engines take names with slashes.
const NOT_IN_A_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');

/// Parts `/v1.40/info` into the version and `/info`. Any version will do, as with the original.
pub fn split_version(path: &str) -> (Option<ApiVersion>, &str) {
    let read = || {
        let (version, rest) = path.strip_prefix("/v")?.split_once('/')?;
        let version = version.parse().ok()?;
        Some((Some(version), &path[path.len() - rest.len() - 1..]))
    };
    read().unwrap_or((None, path))
}

/// A name as it stands in a path.
pub fn encode(name: &str) -> String {
    utf8_percent_encode(name, NOT_IN_A_NAME).to_string()
}

/// A name that was found in a path; `None` when it is no text.
pub fn decode(part: &str) -> Option<String> {
    let name = percent_decode_str(part).decode_utf8().ok()?;
    Some(name.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_parted() {
        for (path, version, rest) in [
            ("/v1.40/info", Some("1.40"), "/info"),
            (
                "/v1.99/containers/a/json",
                Some("1.99"),
                "/containers/a/json",
            ),
            ("/info", None, "/info"),
            ("/v1.40", None, "/v1.40"),
            ("/v1/info", None, "/v1/info"),
            ("/v1.x/info", None, "/v1.x/info"),
            ("/volumes/v1.2/x", None, "/volumes/v1.2/x"),
            ("/v1.24//info", Some("1.24"), "//info"),
            ("", None, ""),
        ] {
            let (read, left) = split_version(path);
            let read = read.map(|version| version.to_string());
            assert_eq!((read.as_deref(), left), (version, rest), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in ".*") {
            let encoded = encode(&name);
            let decoded = decode(&encoded);
            prop_assert!(encoded.is_ascii() && !encoded.contains(['?', '#', ' ', '%'].as_slice())
                || encoded.contains('%'));
            prop_assert_eq!(decoded, Some(name));
        }

        #[test]
        fn any_path_is_parted(path in ".*") {
            let (_, rest) = split_version(&path);
            prop_assert!(path.ends_with(rest));
        }
    }
}
