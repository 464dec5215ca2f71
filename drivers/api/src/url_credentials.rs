//! User names and passwords in URLs, which are neither stored nor shown.

use std::borrow::Cow;

/// What stands for the user and password of a URL.
const HIDDEN: &str = "***";

/// Whether a URL in the text has a user or a password in it, as `https://user:password@host` has.
pub fn has_url_credentials(text: &str) -> bool {
    next_credentials(text).is_some()
}

/// Returns the text with `***` in place of users and passwords in URLs.
pub fn hide_url_credentials(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((start, end)) = next_credentials(rest) {
        shown.push_str(rest.get(..start).unwrap_or_default());
        shown.push_str(HIDDEN);
        rest = rest.get(end..).unwrap_or_default();
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// The first user and password in a URL of the text, as a range of bytes. What is hidden already
/// is passed over.
fn next_credentials(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find("://") {
        let start = from + found + "://".len();
        let rest = text.get(start..)?;
        if let Some(length) = credentials_length(rest)
            && rest.get(..length) != Some(HIDDEN)
        {
            return Some((start, start + length));
        }
        from = start;
    }
    None
}

/// How many bytes of what follows `://` are a user and a password.
fn credentials_length(rest: &str) -> Option<usize> {
    let ends_url = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c);
    let url = rest.split(ends_url).next()?;
    // Another URL in a list of them.
    let url = url.split("://").next()?;
    let authority = url.split(['/', '?', '#', '\\']).next()?;
    if let Some(length) = authority.rfind('@') {
        return Some(length);
    }
    // A password that was not encoded may have these characters, too; a port has digits only.
    let (_, port) = authority.rsplit_once(':')?;
    let is_port = port.bytes().all(|b| b.is_ascii_digit());
    let is_address = authority.ends_with(']');
    if is_port || is_address {
        return None;
    }
    url.rfind('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_every_url_are_hidden() {
        for (text, shown) in [
            ("https://u:p@host/x", "https://***@host/x"),
            ("https://token@host", "https://***@host"),
            ("https://u:p@ss@host/x", "https://***@host/x"),
            ("https://u:p/w?#@host/x", "https://***@host/x"),
            (
                "a http://u:p@h, and \"ftp://x:y@z\"",
                "a http://***@h, and \"ftp://***@z\"",
            ),
            (
                "HTTP_PROXY=http://ü:p@proxy:3128",
                "HTTP_PROXY=http://***@proxy:3128",
            ),
            ("etcd://u:p@h1,u:q@h2/path", "etcd://***@h2/path"),
            ("http://u:p@[fd00::1]:80/", "http://***@[fd00::1]:80/"),
        ] {
            assert!(has_url_credentials(text), "{text}");
            assert_eq!(hide_url_credentials(text), shown);
            assert!(!has_url_credentials(shown), "{shown}");
        }
    }

    #[test]
    fn text_without_credentials_stays_as_it_is() {
        for text in [
            "",
            "me@example.org",
            "https://host/path@v1",
            "https://host:443/path@v1?a=b@c",
            "http://[fd00::1]/x@y",
            "https://host and me@example.org",
            "see https://a.example/ or write to x@y.z",
            "unix:///var/run/docker.sock",
            "://",
            "ä://",
        ] {
            assert!(!has_url_credentials(text), "{text}");
            assert_eq!(hide_url_credentials(text), text);
        }
    }
}
