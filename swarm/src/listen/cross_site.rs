//! Rejects requests that a web page makes a browser send. Pure.
//!
//! A listener without client certificates trusts whoever can connect to it, and so every browser
//! that can. A page of another site may send a browser there as long as the request is "simple",
//! which JSON bodies are not; and a name of its own that it lets point to the loopback address (DNS
//! rebinding) makes it a page of the same site.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// What a listener accepts from clients without a certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Policy {
    /// Pages of any origin may use the API (`--api-enable-cors`).
    pub(super) any_origin: bool,
    /// Only clients of this machine can connect, so that `Host` is a name of this machine.
    pub(super) loopback: bool,
    /// The name that the listener was given, which may be any name of this machine.
    pub(super) name: String,
}

/// Why a request is rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Rejection {
    /// The body is not announced as JSON. The text is dockerd's.
    #[error("unsupported Content-Type header ({0}): must be 'application/json'")]
    ContentType(String),
    /// The request comes from a page of another site.
    #[error("requests of web pages from {0} are rejected; --api-enable-cors allows them")]
    Origin(String),
    /// The client was led here by a name that is not this machine's.
    #[error(
        "{0:?} is not a name of this loopback listener: use localhost, an IP address, or the name \
         given to --host"
    )]
    Host(String),
}

impl Rejection {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) => StatusCode::BAD_REQUEST,
            Self::Origin(_) | Self::Host(_) => StatusCode::FORBIDDEN,
        }
    }
}

impl Policy {
    /// Checks the head of a request.
    ///
    /// # Errors
    /// [`Rejection`] where a browser may have sent it on behalf of another site.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        has_body: bool,
    ) -> Result<(), Rejection> {
        if self.loopback {
            for host in headers.get_all(HOST) {
                if !self.is_own_name(host) {
                    return Err(Rejection::Host(text(host)));
                }
            }
        }
        if !self.any_origin {
            for origin in headers.get_all(ORIGIN) {
                if !is_same_origin(origin, headers) {
                    return Err(Rejection::Origin(text(origin)));
                }
            }
        }
        let may_change = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if has_body && may_change && !takes_other_types(path) {
            let content_type = headers.get(CONTENT_TYPE);
            if !content_type.is_some_and(is_json) {
                let content_type = content_type.map(text).unwrap_or_default();
                return Err(Rejection::ContentType(content_type));
            }
        }
        Ok(())
    }

    /// An address cannot be rebound, and nobody else can register the other names.
    fn is_own_name(&self, host: &HeaderValue) -> bool {
        let Ok(host) = host.to_str() else {
            return false;
        };
        let host = without_port(host);
        let name = host.strip_suffix('.').unwrap_or(host);
        let name = name.to_ascii_lowercase();
        let v6 = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        name.is_empty()
            || name == "localhost"
            || name.ends_with(".localhost")
            || name == self.name.to_ascii_lowercase()
            || name.parse::<IpAddr>().is_ok()
            || v6.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
    }
}

/// Whether the page was loaded from where the request goes to.
fn is_same_origin(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let (Ok(origin), Some(Ok(host))) =
        (origin.to_str(), headers.get(HOST).map(HeaderValue::to_str))
    else {
        return false;
    };
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Archives and imported images have other types. Engines accept any there, so clients send any.
fn takes_other_types(path: &str) -> bool {
    let path = without_version(path);
    let is_archive = path.starts_with("/containers/") && path.ends_with("/archive");
    matches!(path, "/build" | "/images/load" | "/images/create") || is_archive
}

/// `/v1.41/info` is `/info`.
fn without_version(path: &str) -> &str {
    let rest = path.strip_prefix("/v").unwrap_or(path);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    match end.and_then(|end| rest.split_at_checked(end)) {
        Some((version, rest)) if !version.is_empty() && rest.starts_with('/') => rest,
        _ => path,
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else {
        return false;
    };
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Header values may hold any bytes; what is shown of them is ASCII.
fn text(value: &HeaderValue) -> String {
    const LONGEST: usize = 200;
    let bytes = value.as_bytes();
    let shown = bytes.get(..LONGEST).unwrap_or(bytes);
    shown.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn check(policy: &Policy, method: Method, path: &str, lines: &[(&'static str, &str)]) -> u16 {
        let headers = headers(lines);
        let has_body = headers.contains_key("content-length");
        let checked = policy.check(&method, path, &headers, has_body);
        checked.map_or_else(|rejection| rejection.status().as_u16(), |()| 200)
    }

    #[test]
    fn body_must_be_json_except_archives() {
        let policy = Policy::default();
        let body = ("content-length", "2");
        for (path, content_type, status) in [
            ("/containers/create", Some("application/json"), 200),
            (
                "/containers/create",
                Some("Application/JSON; charset=utf-8"),
                200,
            ),
            ("/containers/create", Some("text/plain"), 400),
            ("/containers/create", Some("application/jsonp"), 400),
            (
                "/containers/create",
                Some("text/plain; application/json"),
                400,
            ),
            (
                "/containers/create",
                Some("application/x-www-form-urlencoded"),
                400,
            ),
            ("/containers/create", Some("multipart/form-data"), 400),
            ("/containers/create", Some(""), 400),
            ("/containers/create", None, 400),
            ("/v1.41/volumes/create", Some("text/plain"), 400),
            ("/build", Some("application/x-tar"), 200),
            ("/v1.24/build", None, 200),
            ("/v1.41/images/create", Some("text/plain"), 200),
            ("/images/load", Some("application/x-tar"), 200),
            ("/containers/x/archive", Some("application/x-tar"), 200),
            ("/containers/x/archive/create", Some("text/plain"), 400),
            ("/v1.41/v1.41/build", None, 400),
            ("/v/build", None, 400),
        ] {
            let content_type = content_type.map(|content_type| ("content-type", content_type));
            let lines: Vec<_> = [body].into_iter().chain(content_type).collect();
            let checked = check(&policy, Method::POST, path, &lines);
            assert_eq!(checked, status, "{path} {content_type:?}");
        }
        let plain = ("content-type", "text/plain");
        assert_eq!(
            check(&policy, Method::POST, "/containers/x/start", &[plain]),
            200,
            "docker's client sends this type with an empty body"
        );
        assert_eq!(check(&policy, Method::GET, "/info", &[plain, body]), 200);
        assert_eq!(check(&policy, Method::DELETE, "/volumes/x", &[body]), 400);
    }

    #[test]
    fn foreign_origin_is_rejected_unless_all_are_allowed() {
        let open = Policy {
            any_origin: true,
            ..Policy::default()
        };
        for (origin, host, status) in [
            (None, "10.0.0.1:2375", 200),
            (Some("http://10.0.0.1:2375"), "10.0.0.1:2375", 200),
            (Some("https://Swarm:2375"), "swarm:2375", 200),
            (Some("http://evil.example"), "10.0.0.1:2375", 403),
            (Some("http://10.0.0.1:8080"), "10.0.0.1:2375", 403),
            (Some("null"), "10.0.0.1:2375", 403),
            (Some(""), "10.0.0.1:2375", 403),
            (Some("é"), "10.0.0.1:2375", 403),
        ] {
            let origin = origin.map(|origin| ("origin", origin));
            let lines: Vec<_> = [("host", host)].into_iter().chain(origin).collect();
            for method in [Method::GET, Method::POST] {
                let checked = check(&Policy::default(), method.clone(), "/info", &lines);
                assert_eq!(checked, status, "{origin:?}");
                assert_eq!(check(&open, method, "/info", &lines), 200);
            }
        }
        let twice = [
            ("host", "a"),
            ("origin", "http://a"),
            ("origin", "http://b"),
        ];
        let checked = check(&Policy::default(), Method::POST, "/info", &twice);
        assert_eq!(checked, 403);
    }

    #[test]
    fn loopback_listener_rejects_foreign_names() {
        let loopback = Policy {
            loopback: true,
            name: "Swarm.example".to_owned(),
            ..Policy::default()
        };
        let elsewhere = Policy::default();
        for (host, status) in [
            ("127.0.0.1:2375", 200),
            ("127.0.0.1", 200),
            ("10.0.0.7:80", 200),
            ("[::1]:2375", 200),
            ("[::1]", 200),
            ("localhost:2375", 200),
            ("LOCALHOST.", 200),
            ("api.moby.localhost", 200),
            ("swarm.example:2375", 200),
            ("", 200),
            ("evil.example:2375", 403),
            ("localhost.evil.example", 403),
            ("notlocalhost", 403),
            ("127.0.0.1.evil.example", 403),
            ("[evil.example]:2375", 403),
            ("m", 403),
            ("é", 403),
        ] {
            let lines = [("host", host)];
            assert_eq!(
                check(&loopback, Method::GET, "/x", &lines),
                status,
                "{host}"
            );
            assert_eq!(check(&elsewhere, Method::GET, "/x", &lines), 200, "{host}");
        }
        assert_eq!(check(&loopback, Method::GET, "/x", &[]), 200);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(&loopback, Method::GET, "/x", &twice), 403);
    }

    #[test]
    fn rejection_shows_no_control_characters() {
        let long = "\u{9b}2J".repeat(1000);
        let lines = [("host", long.as_str())];
        let policy = Policy {
            loopback: true,
            ..Policy::default()
        };
        let headers = headers(&lines);
        let rejection = policy.check(&Method::GET, "/", &headers, false);
        let message = rejection.unwrap_err().to_string();
        assert!(message.is_ascii() && message.len() < 2000, "{message}");
    }
}
